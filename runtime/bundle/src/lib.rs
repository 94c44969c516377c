//! An app as one artifact, named by its digest.
