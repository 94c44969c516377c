//! `wasi:nn`: the models that a function was granted, by name. It is the same call as to `NAME.model.internal`, without HTTP
//! between: who answers is decided in the same way, and a call that waits holds no thread.
//!
//! A model that was not granted is `not-found`, whether it exists or not. What is wrong with a tensor is told by `compute`,
//! because making one cannot fail.

use crate::State;
use crate::http::Asker;
use crate::models::ModelGrant;
use bytes::Bytes;
use rimward_inference::oip::InferRequest;
use rimward_inference::{Datatype, Error, Kind, Tensor};
use wasmtime::component::{Linker, Resource, ResourceTable};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/nn-0.2.0-rc-2024-10-28",
        world: "imports",
        imports: { default: async | trappable },
        with: {
            "wasi:nn/tensor.tensor": crate::nn::Held,
            "wasi:nn/errors.error": crate::nn::Failure,
            "wasi:nn/graph.graph": crate::nn::Graph,
            "wasi:nn/inference.graph-execution-context": crate::nn::Execution,
        },
    });
}

use bindings::wasi::nn::{errors, graph, inference, tensor};

/// A tensor, as a guest made it or as a model answered it.
pub struct Held {
    dimensions: Vec<u32>,
    ty: tensor::TensorType,
    /// The elements, or why there was no room for them.
    data: Result<Bytes, String>,
}

/// Why something was not done.
pub struct Failure {
    code: errors::ErrorCode,
    text: String,
}

/// A model.
pub struct Graph(ModelGrant);

/// A model that can be asked.
pub struct Execution(ModelGrant);

/// What the functions of the interfaces work on.
pub(crate) struct View<'a> {
    asker: Asker<'a>,
    table: &'a mut ResourceTable,
}

struct HasView;

impl wasmtime::component::HasData for HasView {
    type Data<'a> = View<'a>;
}

type Answer<T> = wasmtime::Result<Result<T, Resource<Failure>>>;

pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    tensor::add_to_linker::<_, HasView>(linker, view)?;
    errors::add_to_linker::<_, HasView>(linker, view)?;
    inference::add_to_linker::<_, HasView>(linker, view)?;
    graph::add_to_linker::<_, HasView>(linker, view)
}

fn view(state: &mut State) -> View<'_> {
    View { asker: state.outgoing.asker(), table: &mut state.table }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use errors::ErrorCode;
        let code = match error.kind() {
            Kind::InvalidArgument => ErrorCode::InvalidArgument,
            Kind::NotFound => ErrorCode::NotFound,
            Kind::Unauthenticated => ErrorCode::Security,
            Kind::TooLarge => ErrorCode::TooLarge,
            Kind::Timeout => ErrorCode::Timeout,
            Kind::Unsupported => ErrorCode::UnsupportedOperation,
            Kind::Unavailable | Kind::Protocol | Kind::Failed => ErrorCode::RuntimeError,
        };
        Self { code, text: error.to_string() }
    }
}

fn datatype(ty: tensor::TensorType) -> Datatype {
    use tensor::TensorType;
    match ty {
        TensorType::Fp16 => Datatype::Fp16,
        TensorType::Fp32 => Datatype::Fp32,
        TensorType::Fp64 => Datatype::Fp64,
        TensorType::Bf16 => Datatype::Bf16,
        TensorType::U8 => Datatype::Uint8,
        TensorType::I32 => Datatype::Int32,
        TensorType::I64 => Datatype::Int64,
    }
}

/// Truth values are bytes here; what else the interface has no type for is an error.
fn tensor_type(tensor: &Tensor) -> Result<tensor::TensorType, Error> {
    use tensor::TensorType;
    Ok(match tensor.datatype() {
        Datatype::Fp16 => TensorType::Fp16,
        Datatype::Fp32 => TensorType::Fp32,
        Datatype::Fp64 => TensorType::Fp64,
        Datatype::Bf16 => TensorType::Bf16,
        Datatype::Uint8 | Datatype::Bool => TensorType::U8,
        Datatype::Int32 => TensorType::I32,
        Datatype::Int64 => TensorType::I64,
        other => {
            let text = format!("the output `{}` is {other}, which wasi:nn has no type for", tensor.name());
            return Err(Error::new(Kind::Unsupported, text));
        }
    })
}

impl Held {
    fn of(tensor: &Tensor) -> Result<Self, Error> {
        let size = |size: &u64| u32::try_from(*size);
        let dimensions = tensor.shape().iter().map(size).collect::<Result<_, _>>();
        let too_large =
            |_| Error::new(Kind::TooLarge, format!("the output `{}` is too large", tensor.name()));
        Ok(Self {
            dimensions: dimensions.map_err(too_large)?,
            ty: tensor_type(tensor)?,
            data: Ok(tensor.bytes().clone()),
        })
    }

    fn named(self, name: String) -> Result<Tensor, Error> {
        let shape = self.dimensions.iter().map(|size| u64::from(*size)).collect();
        let data = self.data.map_err(|text| Error::new(Kind::Unavailable, text))?;
        Tensor::new(name, datatype(self.ty), shape, data)
    }
}

impl View<'_> {
    fn told<T: Send + 'static>(&mut self, result: Result<T, Error>) -> Answer<Resource<T>> {
        Ok(match result {
            Ok(made) => Ok(self.table.push(made)?),
            Err(error) => Err(self.table.push(Failure::from(error))?),
        })
    }

    async fn ask(
        &mut self,
        grant: &ModelGrant,
        inputs: Vec<(String, Held)>,
    ) -> Result<Vec<(String, Held)>, Error> {
        let inputs =
            inputs.into_iter().map(|(name, held)| held.named(name)).collect::<Result<Vec<_>, _>>()?;
        let request = InferRequest { inputs, ..InferRequest::default() };
        let answer = self.asker.infer(grant, &request).await?;
        let held = |output: &Tensor| Ok((output.name().to_owned(), Held::of(output)?));
        answer.response.outputs.iter().map(held).collect()
    }
}

impl tensor::Host for View<'_> {}
impl errors::Host for View<'_> {}
impl inference::Host for View<'_> {}

impl tensor::HostTensor for View<'_> {
    async fn new(
        &mut self,
        dimensions: Vec<u32>,
        ty: tensor::TensorType,
        data: Vec<u8>,
    ) -> wasmtime::Result<Resource<Held>> {
        let data = self.asker.hold(data).map_err(|error| error.to_string());
        Ok(self.table.push(Held { dimensions, ty, data })?)
    }

    async fn dimensions(&mut self, tensor: Resource<Held>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions.clone())
    }

    async fn ty(&mut self, tensor: Resource<Held>) -> wasmtime::Result<tensor::TensorType> {
        Ok(self.table.get(&tensor)?.ty)
    }

    async fn data(&mut self, tensor: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        let data = self.table.get(&tensor)?.data.as_ref();
        data.map(|data| data.to_vec()).map_err(|text| wasmtime::format_err!("{text}"))
    }

    async fn drop(&mut self, tensor: Resource<Held>) -> wasmtime::Result<()> {
        self.table.delete(tensor)?;
        Ok(())
    }
}

impl errors::HostError for View<'_> {
    async fn code(&mut self, error: Resource<Failure>) -> wasmtime::Result<errors::ErrorCode> {
        Ok(self.table.get(&error)?.code)
    }

    async fn data(&mut self, error: Resource<Failure>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.text.clone())
    }

    async fn drop(&mut self, error: Resource<Failure>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}

impl graph::Host for View<'_> {
    async fn load(
        &mut self,
        _: Vec<Vec<u8>>,
        _: graph::GraphEncoding,
        _: graph::ExecutionTarget,
    ) -> Answer<Resource<Graph>> {
        let text = "models are declared in rimward.toml: load them by name";
        self.told(Err(Error::new(Kind::Unsupported, text)))
    }

    async fn load_by_name(&mut self, name: String) -> Answer<Resource<Graph>> {
        let found = self.asker.model(&name).cloned().map(Graph);
        let missing = || {
            let text = format!("the model `{name}` was not granted: name it in the function's `models`");
            Error::new(Kind::NotFound, text)
        };
        self.told(found.ok_or_else(missing))
    }
}

impl graph::HostGraph for View<'_> {
    async fn init_execution_context(&mut self, graph: Resource<Graph>) -> Answer<Resource<Execution>> {
        let Graph(grant) = self.table.get(&graph)?;
        let execution = Execution(grant.clone());
        self.told(Ok(execution))
    }

    async fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}

impl inference::HostGraphExecutionContext for View<'_> {
    async fn compute(
        &mut self,
        execution: Resource<Execution>,
        inputs: Vec<(String, Resource<Held>)>,
    ) -> Answer<Vec<(String, Resource<Held>)>> {
        let Execution(grant) = self.table.get(&execution)?;
        let grant = grant.clone();
        // They were handed over, whatever comes of it.
        let inputs = inputs.into_iter().map(|(name, tensor)| Ok((name, self.table.delete(tensor)?)));
        let inputs = inputs.collect::<wasmtime::Result<Vec<_>>>()?;
        match self.ask(&grant, inputs).await {
            Ok(outputs) => {
                let outputs = outputs.into_iter().map(|(name, held)| Ok((name, self.table.push(held)?)));
                Ok(Ok(outputs.collect::<wasmtime::Result<_>>()?))
            }
            Err(error) => Ok(Err(self.table.push(Failure::from(error))?)),
        }
    }

    async fn drop(&mut self, execution: Resource<Execution>) -> wasmtime::Result<()> {
        self.table.delete(execution)?;
        Ok(())
    }
}
