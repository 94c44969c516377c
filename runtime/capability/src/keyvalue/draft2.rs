//! `wasi:keyvalue@0.2.0-draft2`, as Spin's guests and `rimward-sdk` import it.

use super::{Bucket, Cas, Failed, HasView, View};
use crate::State;
use wasmtime::component::{Linker, Resource};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/keyvalue-0.2.0-draft2",
        world: "imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket,
            "wasi:keyvalue/atomics.cas": crate::keyvalue::Cas,
        },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

pub(super) fn link(linker: &mut Linker<State>, view: fn(&mut State) -> View<'_>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasView>(linker, view)?;
    atomics::add_to_linker::<_, HasView>(linker, view)?;
    batch::add_to_linker::<_, HasView>(linker, view)
}

impl From<Failed> for store::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NoSuchStore => Self::NoSuchStore,
            Failed::Other(reason) => Self::Other(reason),
        }
    }
}

impl View<'_> {
    fn at(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.table.get(bucket)?.clone())
    }
}

impl store::Host for View<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        match self.keyvalue.bucket(&identifier) {
            Ok(bucket) => Ok(Ok(self.table.push(bucket)?)),
            Err(failed) => Ok(Err(failed.into())),
        }
    }
}

impl store::HostBucket for View<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        Ok(self.at(&bucket)?.get(&key).await.map_err(Into::into))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(self.at(&bucket)?.set(key, value).await.map_err(Into::into))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        Ok(self.at(&bucket)?.delete(key).await.map_err(Into::into))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        Ok(self.at(&bucket)?.get(&key).await.map(|value| value.is_some()).map_err(Into::into))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Answer<store::KeyResponse> {
        let page = self.at(&bucket)?.keys(cursor.as_deref()).await;
        Ok(page.map(|(keys, cursor)| store::KeyResponse { keys, cursor }).map_err(Into::into))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: i64) -> Answer<i64> {
        Ok(self.at(&bucket)?.increment(&key, delta).await.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        Ok(match self.table.delete(cas)?.swap(value).await {
            Ok(None) => Ok(()),
            Ok(Some(again)) => Err(atomics::CasError::CasFailed(self.table.push(again)?)),
            Err(failed) => Err(atomics::CasError::StoreError(failed.into())),
        })
    }
}

impl atomics::HostCas for View<'_> {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Resource<Cas>> {
        match self.at(&bucket)?.cas(key).await {
            Ok(cas) => Ok(Ok(self.table.push(cas)?)),
            Err(failed) => Ok(Err(failed.into())),
        }
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        Ok(Ok(self.table.get(&cas)?.current()))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        Ok(self.at(&bucket)?.get_many(keys).await.map_err(Into::into))
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Answer<()> {
        Ok(self.at(&bucket)?.set_many(pairs).await.map_err(Into::into))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        Ok(self.at(&bucket)?.delete_many(keys).await.map_err(Into::into))
    }
}
