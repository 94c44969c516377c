//! Asks the model that the path names through `wasi:nn`, for the mean of as many numbers as the query says, or with three for
//! `classifier`: answers the numbers of the first output, or the code and the text of the error.

use bindings::wasi::nn::errors::Error as NnError;
use bindings::wasi::nn::graph::{self, ExecutionTarget, GraphEncoding};
use bindings::wasi::nn::tensor::{Tensor, TensorType};
use wstd::http::{Body, Error, Request, Response, StatusCode};

mod bindings {
    wit_bindgen::generate!({
        path: "../../sdk/wit/nn-0.2.0-rc-2024-10-28",
        world: "imports",
        generate_all,
    });
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let uri = request.uri();
    let answer = match (uri.path(), uri.query().unwrap_or_default()) {
        ("/load", _) => {
            graph::load(&[vec![0]], GraphEncoding::Onnx, ExecutionTarget::Cpu).map(|_| String::new())
        }
        ("/wrong-size", _) => ask("classifier", &[1, 3], TensorType::Fp32, vec![0; 5]),
        ("/wrong-name", _) => ask_named("classifier", "z", &[1, 3], TensorType::Fp32, vec![0; 12]),
        ("/wrong-type", _) => ask("classifier", &[1, 3], TensorType::U8, vec![0; 3]),
        ("/not-finite", _) => ask("classifier", &[1, 3], TensorType::Fp32, f32::NAN.to_le_bytes().repeat(3)),
        (path, count) => {
            let count: u32 = count.parse().unwrap_or(3);
            let numbers = (0..count).flat_map(|index| (index as f32).to_le_bytes()).collect();
            ask(path.trim_start_matches('/'), &[1, count], TensorType::Fp32, numbers)
        }
    };
    let (status, text) = match answer {
        Ok(numbers) => (StatusCode::OK, numbers),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{:?}: {}", error.code(), error.data())),
    };
    Ok(Response::builder().status(status).body(text.into())?)
}

fn ask(model: &str, dimensions: &[u32], ty: TensorType, data: Vec<u8>) -> Result<String, NnError> {
    ask_named(model, "x", dimensions, ty, data)
}

fn ask_named(
    model: &str,
    name: &str,
    dimensions: &[u32],
    ty: TensorType,
    data: Vec<u8>,
) -> Result<String, NnError> {
    let execution = graph::load_by_name(model)?.init_execution_context()?;
    let tensor = Tensor::new(dimensions, ty, &data);
    assert!((tensor.dimensions(), tensor.ty()) == (dimensions.to_vec(), ty) && tensor.data() == data);
    let outputs = execution.compute(vec![(name.to_owned(), tensor)])?;
    let [(name, output)] = &outputs[..] else { return Ok(format!("{} outputs", outputs.len())) };
    let data = output.data();
    let (numbers, _) = data.as_chunks::<4>().0.iter().fold((String::new(), ""), |(text, space), bytes| {
        (format!("{text}{space}{}", f32::from_le_bytes(*bytes)), " ")
    });
    Ok(format!("{name} {:?} {:?}: {numbers}", output.dimensions(), output.ty()))
}
