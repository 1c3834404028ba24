//! The crate from outside, in one program: what it reads, and that nothing it is given does harm.

#[cfg(test)]
mod augment;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod idx;
#[cfg(test)]
mod loader;
#[cfg(test)]
mod masks;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod split;
#[cfg(test)]
mod table;
