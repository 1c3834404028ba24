//! The names in a pickle that mean something, what each means, and those that are refused.

use super::pickle::{Machine, Storage, Strided, Value, broken};
use crate::Dtype;
use crate::error::Fault;

/// PyTorch itself goes to 64; no network has more than four or five.
const MAX_RANK: usize = 16;

/// All names that mean something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor` and its second version: storage, offset, size, stride, …
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: the tensor, whether it is trained, hooks.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: a function, a subclass of tensors, the function's arguments, attributes.
    RebuildFromType,
    /// `torch.Size`: a tuple.
    Size,
    /// `torch.FloatStorage` and its kind.
    Storage(Dtype),
}

/// Modules that start programs, open files and connections, or run text as a program. No training program leaves
/// their names beside its weights.
const HOSTILE: [&str; 26] = [
    "asyncio",
    "bdb",
    "code",
    "codeop",
    "commands",
    "cProfile",
    "ctypes",
    "importlib",
    "io",
    "multiprocessing",
    "nt",
    "os",
    "pdb",
    "pickle",
    "pip",
    "posix",
    "profile",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "timeit",
    "urllib",
    "webbrowser",
];

/// What of Python's own names can do as much.
const HOSTILE_BUILTINS: [&str; 9] =
    ["__import__", "apply", "compile", "eval", "exec", "execfile", "getattr", "open", "setattr"];

fn is_hostile(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or(module);
    match package {
        "builtins" | "__builtin__" => HOSTILE_BUILTINS.contains(&name),
        "torch" => module == "torch.hub" || (module == "torch" && name == "load"),
        package => HOSTILE.contains(&package),
    }
}

impl Global {
    /// Looks a name up; nothing if it has no meaning here. One that runs programs is refused.
    pub(super) fn find(module: &str, name: &str) -> Result<Option<Self>, Fault> {
        let storage = match name {
            "FloatStorage" => Some(Dtype::F32),
            "DoubleStorage" => Some(Dtype::F64),
            "HalfStorage" => Some(Dtype::F16),
            "BFloat16Storage" => Some(Dtype::Bf16),
            "LongStorage" => Some(Dtype::I64),
            "IntStorage" => Some(Dtype::I32),
            "ShortStorage" => Some(Dtype::I16),
            "CharStorage" => Some(Dtype::I8),
            "ByteStorage" => Some(Dtype::U8),
            "BoolStorage" => Some(Dtype::Bool),
            _ => None,
        };
        Ok(Some(match (module, name, storage) {
            ("torch", _, Some(dtype)) => Self::Storage(dtype),
            ("torch", "Size", _) => Self::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2", _) => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state", _) => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2", _) => Self::RebuildFromType,
            ("collections", "OrderedDict", _) => Self::OrderedDict,
            _ if is_hostile(module, name) => {
                return Err(Fault::Refused(format!(
                    "its pickle asks for `{}.{}`, which weights have no use for and which can do harm: nothing of it \
                     was run; take the file from another place, or save the tensors alone, as \
                     torch.save(model.state_dict(), path) does",
                    module.escape_debug(),
                    name.escape_debug()
                )));
            }
            _ => return Ok(None),
        }))
    }
}

impl<'a> Machine<'a> {
    /// What a call gives: only the names of [`Global`] do something.
    pub(super) fn call(&mut self, callee: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, Fault> {
        let callee = match callee {
            Value::Global(callee) => callee,
            Value::Foreign(name) | Value::Object(name) => return Ok(Value::Object(name)),
            _ => return Err(broken("calls something that is no function")),
        };
        let wrong = || broken("gives a function arguments that it does not take");
        let Value::Tuple(tuple) = arguments else { return Err(wrong()) };
        let arguments = self.pickle.sequences[tuple].as_slice();
        match (callee, arguments) {
            (Global::OrderedDict, []) => Ok(self.new_dict()),
            (Global::OrderedDict, &[list]) => self.dict_of(list),
            (Global::Size, &[tuple @ (Value::Tuple(_) | Value::List(_))]) => Ok(tuple),
            (Global::RebuildParameter, &[tensor @ (Value::Tensor(_) | Value::Object(_)), ..]) => Ok(tensor),
            // One function inside another, and no deeper.
            (Global::RebuildFromType, &[Value::Global(inner @ Global::RebuildTensor), _, arguments, ..]) => {
                self.call(Value::Global(inner), arguments)
            }
            (Global::RebuildFromType, &[Value::Foreign(name), ..]) => Ok(Value::Object(name)),
            // Of a type that no network here has.
            (Global::RebuildTensor, &[storage @ Value::Object(_), ..]) => Ok(storage),
            (Global::RebuildTensor, &[Value::Storage(storage), offset, shape, strides, ..]) => {
                let offset = index(offset).ok_or_else(wrong)?;
                let shape = self.dims(shape).ok_or_else(wrong)?;
                let strides = self.dims(strides).ok_or_else(wrong)?;
                if shape.len() != strides.len() {
                    return Err(wrong());
                }
                self.pickle.tensors.push(Strided { storage, offset, shape, strides });
                Ok(Value::Tensor(self.pickle.tensors.len() - 1))
            }
            _ => Err(wrong()),
        }
    }

    /// A persistent id: `("storage", type, key, device, elements)`, and in old files a view of another.
    pub(super) fn storage(&self, id: Value<'a>) -> Result<Value<'a>, Fault> {
        let id = self.pickle.sequence(id).unwrap_or_default();
        if let [Value::Str("module"), ..] = id {
            return Err(Fault::Refused(
                "it holds a whole model and its program; save the tensors alone, as \
                 torch.save(model.state_dict(), path) does"
                    .into(),
            ));
        }
        if let [Value::Str("storage"), Value::Foreign(name), ..] = *id {
            return Ok(Value::Object(name));
        }
        let wrong = || broken("names a storage in a way that is not PyTorch's");
        let &[
            Value::Str("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Str(key),
            _,
            len,
            ref view @ ..,
        ] = id
        else {
            return Err(wrong());
        };
        let len = index(len).ok_or_else(wrong)?;
        let view = view.first().and_then(|&view| self.pickle.sequence(view));
        let Some(view) = view else { return Ok(Value::Storage(Storage { key, dtype, start: 0, len })) };
        let &[_, start, view_len] = view else { return Err(wrong()) };
        let start = index(start).ok_or_else(wrong)?;
        let view_len = index(view_len).ok_or_else(wrong)?;
        if start.checked_add(view_len).is_none_or(|end| end > len) {
            return Err(wrong());
        }
        Ok(Value::Storage(Storage { key, dtype, start, len: view_len }))
    }

    fn dims(&self, tuple: Value<'a>) -> Option<Vec<usize>> {
        let dims = self.pickle.sequence(tuple)?;
        if dims.len() > MAX_RANK {
            return None;
        }
        dims.iter().map(|&dim| index(dim)).collect()
    }
}

fn index(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(value) => value.try_into().ok(),
        _ => None,
    }
}
