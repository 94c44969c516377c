//! `wasi:keyvalue@0.2.0-draft`, as wasmCloud's guests import it: cursors are numbers, counters have no sign, and there is
//! no compare-and-swap.

use super::{Bucket, Failed, HasView, View};
use crate::State;
use crate::limits::KEYVALUE_CURSORS;
use wasmtime::component::{Linker, Resource};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/keyvalue-0.2.0-draft",
        world: "imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket },
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
    fn bucket_at(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.table.get(bucket)?.clone())
    }

    /// The key that a numeric cursor stands for.
    fn cursor(&self, cursor: Option<u64>) -> Result<Option<String>, Failed> {
        let Some(cursor) = cursor else { return Ok(None) };
        let known = usize::try_from(cursor).ok().and_then(|at| self.keyvalue.cursors.get(at));
        known
            .cloned()
            .map(Some)
            .ok_or_else(|| Failed::Other("the cursor is not one that this instance was given".into()))
    }

    /// A number for the key that the next page starts at.
    fn remember(&mut self, next: Option<String>) -> Result<Option<u64>, Failed> {
        let Some(next) = next else { return Ok(None) };
        let cursors = &mut self.keyvalue.cursors;
        if cursors.len() >= KEYVALUE_CURSORS {
            return Err(Failed::Other("too many pages were listed by one instance".into()));
        }
        cursors.push(next);
        Ok(Some(cursors.len() as u64 - 1))
    }

    async fn page(&mut self, bucket: Bucket, cursor: Option<u64>) -> Result<store::KeyResponse, Failed> {
        let cursor = self.cursor(cursor)?;
        let (keys, next) = bucket.keys(cursor.as_deref()).await?;
        Ok(store::KeyResponse { keys, cursor: self.remember(next)? })
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
        Ok(self.bucket_at(&bucket)?.get(&key).await.map_err(Into::into))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(self.bucket_at(&bucket)?.set(key, value).await.map_err(Into::into))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        Ok(self.bucket_at(&bucket)?.delete(key).await.map_err(Into::into))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        Ok(self.bucket_at(&bucket)?.get(&key).await.map(|value| value.is_some()).map_err(Into::into))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        let bucket = self.bucket_at(&bucket)?;
        Ok(self.page(bucket, cursor).await.map_err(Into::into))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Answer<u64> {
        let Ok(delta) = i64::try_from(delta) else {
            return Ok(Err(store::Error::Other("the incremented number would overflow".into())));
        };
        let sum = self.bucket_at(&bucket)?.increment(&key, delta).await;
        Ok(sum.map_err(Into::into).and_then(|sum| {
            u64::try_from(sum)
                .map_err(|_| store::Error::Other("the number under this key is negative".into()))
        }))
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        Ok(self.bucket_at(&bucket)?.get_many(keys).await.map_err(Into::into))
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Answer<()> {
        Ok(self.bucket_at(&bucket)?.set_many(pairs).await.map_err(Into::into))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        Ok(self.bucket_at(&bucket)?.delete_many(keys).await.map_err(Into::into))
    }
}
