// The hot path of a capture: unwrap, evaluate, wrap, record, and where in the program an operator stands.
//
// It does what the Python of `dispatch.py`, `tensor.py`, `memory.py`, `places.py` and `recorder.py` does, call by
// call, and hands the less frequent kinds of call back to it; `tests/frontends/torch/test_native.py` compares the
// graphs of both. It knows Python's C interface and nothing of PyTorch's, so it is built without PyTorch and does
// not depend on its version. Everything here runs while the interpreter's lock is held.

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

/// A Python error is set; unwinds to the function that Python called.
struct Raised {};

/// One reference to an object, given back when it goes.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { Py_XDECREF(object_); }
  static Ref borrowed(PyObject* object) {
    Py_XINCREF(object);
    return Ref(object);
  }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

Ref checked(PyObject* owned) {
  if (!owned) throw Raised();
  return Ref(owned);
}

PyObject* checked_borrowed(PyObject* object) {
  if (!object) throw Raised();
  return object;
}

void check(int status) {
  if (status < 0) throw Raised();
}

/// A container that can be in no cycle: the garbage collector need not visit it. Records pile up by the
/// thousands between two cuts, and visiting them would cost a third of the whole time.
Ref untracked(PyObject* owned) {
  if (!owned) throw Raised();
  PyObject_GC_UnTrack(owned);
  return Ref(owned);
}

Ref attribute(PyObject* object, PyObject* name) { return checked(PyObject_GetAttr(object, name)); }

long long whole_number(PyObject* object) {
  const long long value = PyLong_AsLongLong(object);
  if (value == -1 && PyErr_Occurred()) throw Raised();
  return value;
}

long number_of(PyObject* object) {
  const long value = PyLong_AsLong(object);
  if (value == -1 && PyErr_Occurred()) throw Raised();
  return value;
}

// --- what Python hands over ------------------------------------------------------------------------------------

/// Interned names.
#define NAMES(X)                                                                                                \
  X(__dict__) X(_sequence_nr) X(allocation) X(arguments) X(by_sequence) X(changes_geometry) X(device) X(dtype)   \
  X(elements) X(geometry) X(handle) X(handlers) X(host) X(in_place) X(inner_device) X(is_allocation) X(is_view)  \
  X(kernel) X(layout) X(memory) X(module) X(modules) X(nbytes) X(needs_extent) X(node) X(node_place) \
  X(optimizer_depth) X(optimizer_line) X(override) X(phase) X(pin_memory) X(records) X(recorder) X(region)       \
  X(resizes) X(returned) X(shape) X(source) X(storage_offset) X(stride) X(to_host) X(type) X(untyped_storage) X(written)

#define DECLARE(name) PyObject* name;
struct Names {
  NAMES(DECLARE)
} names;

/// Objects of the Python side, by the names that `connect` gets them under.
#define OBJECTS(X)                                                                                             \
  X(DeviceTensor) X(Tensor) X(DEVICE) X(DEVICE_TYPE) X(COMPANIONS) X(TENSOR) X(Keyword) X(strided)              \
  X(make_wrapper) X(wrap) X(size_of) X(adopt_geometry) X(plan_of) X(unwrap) X(wrap_views) X(is_called_by_engine) \
  X(kept) X(is_inference) X(STATE) X(KINDS) X(place_numbers) X(place_number) X(number_backward)        \
  X(all_sequences) X(classify) X(code_classes) X(current_node) X(sequence_number) X(find_rule)

struct Objects {
  OBJECTS(DECLARE)
} python;
#undef DECLARE

PyObject* operator_text;  // `operator` is a word of C++
PyObject* forward_text;
PyObject* backward_text;
PyObject* optimizer_text;
PyObject* backward_of_text;
PyObject* empty_text;
PyObject* item_text;
PyObject* extent_text;
PyObject* tensors_text;
PyObject* empty_tuple;
PyObject* one;

bool is_device_tensor(PyObject* object) {
  return Py_TYPE(object) == reinterpret_cast<PyTypeObject*>(python.DeviceTensor);
}

bool is_tensor(PyObject* object) {
  return PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(python.Tensor));
}

// --- memory ----------------------------------------------------------------------------------------------------

PyObject* ledger_events;
PyObject* ledger_settle;
Py_ssize_t settle_after_events;
long long allocations_so_far;

struct Allocation {
  PyObject_HEAD
  long long number;
  long long size_bytes;
  PyObject* kind;
  long place;
  /// The list of records that numbered it last, and its number there.
  long long list;
  long position;
};

struct Storage {
  PyObject_HEAD
  PyObject* allocation;
};

extern PyTypeObject allocation_type;
extern PyTypeObject storage_type;

PyObject* new_allocation(long long size_bytes, PyObject* kind, long place) {
  auto* self = PyObject_New(Allocation, &allocation_type);
  if (!self) return nullptr;
  self->number = ++allocations_so_far;
  self->size_bytes = size_bytes;
  Py_INCREF(kind);
  self->kind = kind;
  self->place = place;
  self->list = 0;
  return reinterpret_cast<PyObject*>(self);
}

PyObject* allocation_new(PyTypeObject*, PyObject* args, PyObject*) {
  long long size_bytes;
  PyObject* kind;
  long place;
  if (!PyArg_ParseTuple(args, "LOl", &size_bytes, &kind, &place)) return nullptr;
  return new_allocation(size_bytes, kind, place);
}

void allocation_dealloc(PyObject* object) {
  Py_XDECREF(reinterpret_cast<Allocation*>(object)->kind);
  PyObject_Free(object);
}

PyMemberDef allocation_members[] = {
    {"number", T_LONGLONG, offsetof(Allocation, number), 0, "never used again in this process"},
    {"size_bytes", T_LONGLONG, offsetof(Allocation, size_bytes), 0, "bytes of the whole storage"},
    {"kind", T_OBJECT_EX, offsetof(Allocation, kind), 0, "what it holds"},
    {"place", T_LONG, offsetof(Allocation, place), 0, "number of the place that allocated it"},
    {nullptr, 0, 0, 0, nullptr},
};

bool note_allocated(PyObject* allocation) {
  if (PyList_Append(ledger_events, allocation) < 0) return false;
  if (PyList_GET_SIZE(ledger_events) > settle_after_events) {
    PyObject* nothing = PyObject_CallNoArgs(ledger_settle);
    if (!nothing) return false;
    Py_DECREF(nothing);
  }
  return true;
}

void note_freed(PyObject* allocation) {
  PyObject* event = PyTuple_Pack(1, allocation);
  if (event) {
    if (PyList_Append(ledger_events, event) < 0) PyErr_Clear();
    Py_DECREF(event);
  } else {
    PyErr_Clear();
  }
}

PyObject* new_storage(long long size_bytes, PyObject* kind, long place) {
  auto* self = PyObject_New(Storage, &storage_type);
  if (!self) return nullptr;
  self->allocation = new_allocation(size_bytes, kind, place);
  if (!self->allocation || !note_allocated(self->allocation)) {
    Py_CLEAR(self->allocation);
    Py_DECREF(self);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(self);
}

PyObject* storage_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  static const char* keywords[] = {"size_bytes", "kind", "place", nullptr};
  long long size_bytes;
  PyObject* kind = nullptr;
  long place = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "L|Ol", const_cast<char**>(keywords), &size_bytes, &kind,
                                   &place)) {
    return nullptr;
  }
  if (kind) return new_storage(size_bytes, kind, place);
  PyObject* other = PyUnicode_InternFromString("other");
  if (!other) return nullptr;
  PyObject* storage = new_storage(size_bytes, other, place);
  Py_DECREF(other);
  return storage;
}

void storage_dealloc(PyObject* object) {
  auto* self = reinterpret_cast<Storage*>(object);
  if (self->allocation) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    note_freed(self->allocation);
    PyErr_Restore(type, value, trace);
    Py_DECREF(self->allocation);
  }
  PyObject_Free(object);
}

PyObject* storage_resize(PyObject* object, PyObject* size) {
  auto* self = reinterpret_cast<Storage*>(object);
  const long long size_bytes = PyLong_AsLongLong(size);
  if (size_bytes == -1 && PyErr_Occurred()) return nullptr;
  auto* old = reinterpret_cast<Allocation*>(self->allocation);
  PyObject* fresh = new_allocation(size_bytes, old->kind, old->place);
  if (!fresh) return nullptr;
  reinterpret_cast<Allocation*>(fresh)->number = old->number;
  self->allocation = fresh;
  note_freed(reinterpret_cast<PyObject*>(old));
  Py_DECREF(old);
  if (!note_allocated(fresh)) return nullptr;
  Py_RETURN_NONE;
}

PyMemberDef storage_members[] = {
    {"allocation", T_OBJECT_EX, offsetof(Storage, allocation), READONLY, "the memory that this keeps alive"},
    {nullptr, 0, 0, 0, nullptr},
};

PyMethodDef storage_methods[] = {
    {"resize", storage_resize, METH_O, "The storage was given another size in place; its number stays."},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject allocation_type = {PyVarObject_HEAD_INIT(nullptr, 0)};
PyTypeObject storage_type = {PyVarObject_HEAD_INIT(nullptr, 0)};

bool ready_types() {
  allocation_type.tp_name = "anychip.frontends.torch.native.seam.Allocation";
  allocation_type.tp_doc = "One piece of device memory.";
  allocation_type.tp_basicsize = sizeof(Allocation);
  allocation_type.tp_flags = Py_TPFLAGS_DEFAULT;
  allocation_type.tp_new = allocation_new;
  allocation_type.tp_dealloc = allocation_dealloc;
  allocation_type.tp_members = allocation_members;
  storage_type.tp_name = "anychip.frontends.torch.native.seam.Storage";
  storage_type.tp_doc = "What keeps an allocation alive: the tensors that show it share this object.";
  storage_type.tp_basicsize = sizeof(Storage);
  storage_type.tp_flags = Py_TPFLAGS_DEFAULT;
  storage_type.tp_new = storage_new;
  storage_type.tp_dealloc = storage_dealloc;
  storage_type.tp_members = storage_members;
  storage_type.tp_methods = storage_methods;
  return PyType_Ready(&allocation_type) == 0 && PyType_Ready(&storage_type) == 0;
}

/// The allocation that a Storage keeps alive.
Ref allocation_of(PyObject* memory) {
  if (Py_TYPE(memory) == &storage_type) {
    return Ref::borrowed(reinterpret_cast<Storage*>(memory)->allocation);
  }
  return attribute(memory, names.allocation);
}

// --- places ----------------------------------------------------------------------------------------------------

enum CodeClass { LIBRARY = 0, USER = 1, MODULE_CALL = 2 };

struct Instruction {
  PyObject* code;
  int offset;
  bool operator==(const Instruction& other) const { return code == other.code && offset == other.offset; }
};

struct InstructionHash {
  size_t operator()(const Instruction& each) const {
    return std::hash<void*>()(each.code) * 31 + static_cast<size_t>(each.offset);
  }
};

/// Code objects here are never freed: `code_classes` of the Python side keeps each.
std::unordered_map<PyObject*, int> classes;
std::unordered_map<Instruction, PyObject*, InstructionHash> lines;

int class_of(PyObject* code) {
  const auto known = classes.find(code);
  if (known != classes.end()) return known->second;
  Ref identity = checked(PyLong_FromVoidPtr(code));
  long kind;
  PyObject* entry = PyDict_GetItemWithError(python.code_classes, identity.get());
  if (entry) {
    kind = number_of(checked_borrowed(PyTuple_GetItem(entry, 0)));
  } else {
    if (PyErr_Occurred()) throw Raised();
    kind = number_of(checked(PyObject_CallOneArg(python.classify, code)).get());
  }
  classes[code] = static_cast<int>(kind);
  return static_cast<int>(kind);
}

/// The line of a frame; the same instruction is looked up once.
PyObject* line_of(PyFrameObject* frame, PyObject* code) {
  const Instruction at{code, PyFrame_GetLasti(frame)};
  const auto known = lines.find(at);
  if (known != lines.end()) return known->second;
  PyObject* line = checked(PyLong_FromLong(PyFrame_GetLineNumber(frame))).release();
  lines[at] = line;
  return line;
}

struct Line {
  Ref code;  // None where no line of the user's was found
  Ref line;
};

/// The nearest line of the user's at or above a frame.
Line user_line_of(Ref frame, PyObject* modules) {
  while (frame) {
    auto* at = reinterpret_cast<PyFrameObject*>(frame.get());
    Ref code(reinterpret_cast<PyObject*>(PyFrame_GetCode(at)));
    const int kind = class_of(code.get());
    if (kind == USER) {
      PyObject* line = line_of(at, code.get());
      return {std::move(code), Ref::borrowed(line)};
    }
    if (kind == MODULE_CALL) {
      const Py_ssize_t depth = PyList_GET_SIZE(modules);
      if (depth) {
        PyObject* top = PyList_GET_ITEM(modules, depth - 1);
        return {Ref::borrowed(PyTuple_GET_ITEM(top, 1)), Ref::borrowed(PyTuple_GET_ITEM(top, 2))};
      }
      break;
    }
    frame = Ref(reinterpret_cast<PyObject*>(PyFrame_GetBack(at)));
  }
  return {Ref::borrowed(Py_None), checked(PyLong_FromLong(0))};
}

Ref current_frame() {
  return Ref(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
}

/// An entry of a thread's state, which has all of them from its start.
PyObject* entry_of(PyObject* state, PyObject* name) {
  PyObject* value = PyDict_GetItemWithError(state, name);
  if (!value) {
    if (!PyErr_Occurred()) PyErr_SetObject(PyExc_AttributeError, name);
    throw Raised();
  }
  return value;
}

/// The place of the forward operator that a backward node belongs to, in phase backward.
Ref backward_place(PyObject* node) {
  Ref method = attribute(node, names._sequence_nr);
  Ref before = checked(PyObject_CallNoArgs(method.get()));
  Ref key = checked(PyNumber_Add(before.get(), one));
  Ref forward;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(python.all_sequences); ++i) {
    PyObject* place = PyDict_GetItemWithError(PyList_GET_ITEM(python.all_sequences, i), key.get());
    if (place) {
      forward = Ref::borrowed(place);
      break;
    }
    if (PyErr_Occurred()) throw Raised();
  }
  if (!forward) forward = checked(PyLong_FromLong(0));
  Ref pair = checked(PyTuple_Pack(2, backward_of_text, forward.get()));
  PyObject* number = PyDict_GetItemWithError(python.place_numbers, pair.get());
  if (number) return Ref::borrowed(number);
  if (PyErr_Occurred()) throw Raised();
  return checked(PyObject_CallOneArg(python.number_backward, forward.get()));
}

Ref current_place() {
  Ref state = attribute(python.STATE, names.__dict__);
  PyObject* modules = entry_of(state.get(), names.modules);
  Ref node = checked(PyObject_CallNoArgs(python.current_node));
  if (node.get() != Py_None && !PyList_GET_SIZE(modules)) {
    if (node.get() == entry_of(state.get(), names.node)) {
      return Ref::borrowed(entry_of(state.get(), names.node_place));
    }
    check(PyDict_SetItem(state.get(), names.node, node.get()));
    Ref place = backward_place(node.get());
    check(PyDict_SetItem(state.get(), names.node_place, place.get()));
    return place;
  }
  PyObject* phase = forward_text;
  Line at;
  if (node.get() != Py_None) {
    phase = backward_text;
    at = user_line_of(current_frame(), modules);
  } else if (number_of(entry_of(state.get(), names.optimizer_depth))) {
    phase = optimizer_text;
    PyObject* known = entry_of(state.get(), names.optimizer_line);
    if (known == Py_None) {
      at = user_line_of(current_frame(), modules);
    } else {
      at = {Ref::borrowed(checked_borrowed(PyTuple_GetItem(known, 0))),
            Ref::borrowed(checked_borrowed(PyTuple_GetItem(known, 1)))};
    }
  } else {
    at = user_line_of(current_frame(), modules);
  }
  const Py_ssize_t depth = PyList_GET_SIZE(modules);
  PyObject* module = depth ? PyTuple_GET_ITEM(PyList_GET_ITEM(modules, depth - 1), 0) : empty_text;
  PyObject* region = entry_of(state.get(), names.region);
  Ref identity = checked(PyLong_FromVoidPtr(at.code.get()));
  Ref key = checked(PyTuple_Pack(5, module, identity.get(), at.line.get(), phase, region));
  Ref place = Ref::borrowed(PyDict_GetItemWithError(python.place_numbers, key.get()));
  if (!place) {
    if (PyErr_Occurred()) throw Raised();
    place = checked(PyObject_CallFunctionObjArgs(python.place_number, module, at.code.get(), at.line.get(), phase,
                                                 region, nullptr));
  }
  Ref sequence = checked(PyObject_CallNoArgs(python.sequence_number));
  checked_borrowed(
      PyDict_SetDefault(entry_of(state.get(), names.by_sequence), sequence.get(), place.get()));
  return place;
}

// --- plans -----------------------------------------------------------------------------------------------------

/// What never changes of a plan, read once.
struct Plan {
  PyObject* self;
  PyObject* host;
  bool is_view, in_place, is_allocation, needs_extent, changes_geometry, resizes;
  std::vector<Py_ssize_t> written, returned;
  std::vector<PyObject*> written_names;
};

/// Plans live as long as the process, and each keeps its overload.
std::unordered_map<PyObject*, Plan*> plans_by_operator;
std::unordered_map<PyObject*, Plan*> plans_by_self;

bool flag(PyObject* object, PyObject* name) {
  const int truth = PyObject_IsTrue(attribute(object, name).get());
  check(truth);
  return truth != 0;
}

std::vector<Py_ssize_t> numbers_of(PyObject* object, PyObject* name) {
  Ref tuple = attribute(object, name);
  std::vector<Py_ssize_t> found;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple.get()); ++i) {
    found.push_back(number_of(PyTuple_GET_ITEM(tuple.get(), i)));
  }
  return found;
}

Plan& plan_from(PyObject* self) {
  const auto known = plans_by_self.find(self);
  if (known != plans_by_self.end()) return *known->second;
  auto plan = std::make_unique<Plan>();
  plan->self = self;
  plan->host = attribute(self, names.host).release();
  plan->is_view = flag(self, names.is_view);
  plan->in_place = flag(self, names.in_place);
  plan->is_allocation = flag(self, names.is_allocation);
  plan->needs_extent = flag(self, names.needs_extent);
  plan->changes_geometry = flag(self, names.changes_geometry);
  plan->resizes = flag(self, names.resizes);
  plan->written = numbers_of(self, names.written);
  plan->returned = numbers_of(self, names.returned);
  Ref arguments = attribute(self, names.arguments);
  for (const Py_ssize_t position : plan->written) {
    plan->written_names.push_back(Ref::borrowed(PyTuple_GET_ITEM(arguments.get(), position)).release());
  }
  Py_INCREF(self);
  return *(plans_by_self[self] = plan.release());
}

Plan& plan_of(PyObject* overload) {
  const auto known = plans_by_operator.find(overload);
  if (known != plans_by_operator.end()) return *known->second;
  Ref self = checked(PyObject_CallOneArg(python.plan_of, overload));
  Plan& plan = plan_from(self.get());
  plans_by_operator[overload] = &plan;
  return plan;
}

// --- tensors ---------------------------------------------------------------------------------------------------

/// Something that objects of one class say of themselves without arguments, asked of the C function behind the
/// name: looking the name up takes as long as the answer.
class Question {
 public:
  /// `name` is read when first asked: names are interned after static objects are made.
  Question(PyObject** name, bool is_method) : name_(name), is_method_(is_method) {}

  Ref of(PyObject* object) {
    if (Py_TYPE(object) != asked_) look_up(object);
    if (getter_) return checked(getter_->get(object, getter_->closure));
    if (plain_) return checked(plain_(object, nullptr));
    if (with_keywords_) return checked(with_keywords_(object, empty_tuple, nullptr));
    return is_method_ ? checked(PyObject_CallMethodNoArgs(object, *name_)) : attribute(object, *name_);
  }

 private:
  void look_up(PyObject* object) {
    asked_ = Py_TYPE(object);
    Py_INCREF(asked_);  // so that no other class gets its address
    getter_ = nullptr;
    plain_ = nullptr;
    with_keywords_ = nullptr;
    Ref found = attribute(reinterpret_cast<PyObject*>(asked_), *name_);
    if (Py_TYPE(found.get()) == &PyGetSetDescr_Type) {
      getter_ = reinterpret_cast<PyGetSetDescrObject*>(found.get())->d_getset;
    } else if (Py_TYPE(found.get()) == &PyMethodDescr_Type) {
      PyMethodDef* method = reinterpret_cast<PyMethodDescrObject*>(found.get())->d_method;
      if (method->ml_flags == METH_NOARGS) plain_ = method->ml_meth;
      if (method->ml_flags == (METH_VARARGS | METH_KEYWORDS)) {
        with_keywords_ = reinterpret_cast<PyCFunctionWithKeywords>(reinterpret_cast<void (*)()>(method->ml_meth));
      }
    }
  }

  PyObject** name_;
  bool is_method_;
  PyTypeObject* asked_ = nullptr;
  PyGetSetDef* getter_ = nullptr;
  PyCFunction plain_ = nullptr;
  PyCFunctionWithKeywords with_keywords_ = nullptr;
};

Question layout_of(&names.layout, false);
Question dtype_of(&names.dtype, false);
Question shape_of(&names.shape, false);
Question stride_of(&names.stride, true);
Question offset_of(&names.storage_offset, true);
Question storage_of(&names.untyped_storage, true);
Question bytes_of(&names.nbytes, true);

/// Whether strides are those that PyTorch gives a tensor of a shape when none are asked for.
bool is_contiguous(PyObject* shape, PyObject* stride) {
  long long step = 1;
  for (Py_ssize_t i = PyTuple_GET_SIZE(shape) - 1; i >= 0; --i) {
    if (whole_number(PyTuple_GET_ITEM(stride, i)) != step) return false;
    const long long extent = whole_number(PyTuple_GET_ITEM(shape, i));
    if (extent > 1) step *= extent;
  }
  return true;
}

/// Geometries that were met before, by a hash of their numbers: most tensors of a workload look like another, and
/// a record keeps one object instead of three.
std::unordered_map<size_t, PyObject*> geometries_met;
constexpr size_t GEOMETRIES_KEPT = 1 << 16;

size_t mixed(size_t hash, long long value) { return (hash ^ static_cast<size_t>(value)) * 0x9E3779B97F4A7C15u; }

size_t mixed(size_t hash, PyObject* numbers) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(numbers); ++i) {
    hash = mixed(hash, whole_number(PyTuple_GET_ITEM(numbers, i)));
  }
  return mixed(hash, PyTuple_GET_SIZE(numbers)) >> 1;
}

bool equal(PyObject* one, PyObject* other) {
  const int same = PyObject_RichCompareBool(one, other, Py_EQ);
  check(same);
  return same != 0;
}

/// (dtype, shape, stride, offset), as one object wherever it was met before.
Ref geometry_of(PyObject* dtype, PyObject* shape, PyObject* stride, PyObject* offset) {
  size_t hash = mixed(reinterpret_cast<size_t>(dtype), whole_number(offset));
  hash = mixed(mixed(hash, shape), stride);
  const auto met = geometries_met.find(hash);
  if (met != geometries_met.end()) {
    PyObject* known = met->second;
    if (PyTuple_GET_ITEM(known, 0) == dtype && equal(PyTuple_GET_ITEM(known, 1), shape) &&
        equal(PyTuple_GET_ITEM(known, 2), stride) && equal(PyTuple_GET_ITEM(known, 3), offset)) {
      return Ref::borrowed(known);
    }
  }
  PyObject_GC_UnTrack(shape);
  PyObject_GC_UnTrack(stride);
  Ref geometry = untracked(PyTuple_Pack(4, dtype, shape, stride, offset));
  if (met == geometries_met.end() && geometries_met.size() < GEOMETRIES_KEPT) {
    geometries_met[hash] = Ref::borrowed(geometry.get()).release();
  }
  return geometry;
}

/// A device tensor and its geometry.
struct Wrapped {
  Ref outer;
  Ref geometry;
};

Wrapped wrap(PyObject* inner, PyObject* memory, PyObject* device) {
  Ref layout = layout_of.of(inner);
  if (layout.get() != python.strided) {
    Ref outer = checked(PyObject_CallFunctionObjArgs(python.wrap, inner, memory, device, nullptr));
    Ref geometry = attribute(outer.get(), names.geometry);
    return {std::move(outer), std::move(geometry)};
  }
  Ref dtype = dtype_of.of(inner);
  Ref shape = shape_of.of(inner);
  Ref stride = stride_of.of(inner);
  Ref offset = offset_of.of(inner);
  // What has its default is not said: PyTorch takes long to read an offset or a list of strides. An offset
  // wants strides beside it.
  const bool starts_storage = number_of(offset.get()) == 0;
  const bool plain = starts_storage && is_contiguous(shape.get(), stride.get());
  PyObject* arguments[] = {python.DeviceTensor,
                           shape.get(),
                           plain ? Py_None : stride.get(),
                           starts_storage ? Py_None : offset.get(),
                           Py_None,
                           dtype.get(),
                           layout.get(),
                           device};
  Ref outer = checked(PyObject_Vectorcall(python.make_wrapper, arguments, 8, nullptr));
  Ref geometry = geometry_of(dtype.get(), shape.get(), stride.get(), offset.get());
  Ref own = checked(PyObject_GenericGetDict(outer.get(), nullptr));
  check(PyDict_SetItem(own.get(), names.elements, inner));
  check(PyDict_SetItem(own.get(), names.memory, memory));
  check(PyDict_SetItem(own.get(), names.geometry, geometry.get()));
  return {std::move(outer), std::move(geometry)};
}

long long size_of(PyObject* inner) {
  Ref layout = layout_of.of(inner);
  Ref size;
  if (layout.get() == python.strided) {
    size = bytes_of.of(storage_of.of(inner).get());
  } else {
    size = checked(PyObject_CallOneArg(python.size_of, inner));
  }
  return whole_number(size.get());
}

/// One of the attributes that every device tensor has of its own.
Ref own(PyObject* tensor, PyObject* name) {
  PyObject** dictionary = _PyObject_GetDictPtr(tensor);
  if (dictionary && *dictionary) {
    PyObject* value = PyDict_GetItemWithError(*dictionary, name);
    if (value) return Ref::borrowed(value);
    if (PyErr_Occurred()) throw Raised();
  }
  return attribute(tensor, name);
}

/// (allocation, geometry) of a device tensor.
Ref operand_of(PyObject* tensor) {
  Ref allocation = allocation_of(own(tensor, names.memory).get());
  Ref geometry = own(tensor, names.geometry);
  return untracked(PyTuple_Pack(2, allocation.get(), geometry.get()));
}

// --- one operator ----------------------------------------------------------------------------------------------

/// What a call consists of, as the record wants it.
struct Pieces {
  Ref operands = untracked(PyList_New(0));
  Ref skeleton = untracked(PyList_New(0));
  Ref floats = untracked(PyList_New(0));
};

/// Lists of device tensors and of whole numbers; false (and nothing done) for every other.
bool unwrap_list(PyObject* argument, Pieces& pieces, Ref& inner) {
  const bool is_list = PyList_CheckExact(argument);
  if (!is_list && !PyTuple_CheckExact(argument)) return false;
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(argument);
  PyObject** items = PySequence_Fast_ITEMS(argument);
  Py_ssize_t tensors = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (is_device_tensor(items[i])) {
      ++tensors;
    } else if (!PyLong_Check(items[i])) {
      return false;
    }
  }
  if (!tensors) {
    Ref entry = is_list ? checked(PyList_AsTuple(argument)) : Ref::borrowed(argument);
    check(PyList_Append(pieces.skeleton.get(), entry.get()));
    inner = Ref::borrowed(argument);
    return true;
  }
  if (tensors != count) return false;
  inner = checked(PyList_New(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    check(PyList_Append(pieces.operands.get(), operand_of(items[i]).get()));
    PyList_SET_ITEM(inner.get(), i, own(items[i], names.elements).release());
  }
  Ref number = checked(PyLong_FromSsize_t(count));
  Ref entry = checked(PyTuple_Pack(2, tensors_text, number.get()));
  check(PyList_Append(pieces.skeleton.get(), entry.get()));
  return true;
}

/// The plain counterpart of an argument; its pieces are noted.
Ref unwrap(const Plan& plan, PyObject* argument, Pieces& pieces) {
  if (is_device_tensor(argument)) {
    check(PyList_Append(pieces.operands.get(), operand_of(argument).get()));
    check(PyList_Append(pieces.skeleton.get(), python.TENSOR));
    return own(argument, names.elements);
  }
  if (PyFloat_CheckExact(argument)) {
    check(PyList_Append(pieces.skeleton.get(), reinterpret_cast<PyObject*>(&PyFloat_Type)));
    check(PyList_Append(pieces.floats.get(), argument));
    return Ref::borrowed(argument);
  }
  if (PyLong_CheckExact(argument) || argument == Py_None || PyBool_Check(argument)) {
    check(PyList_Append(pieces.skeleton.get(), argument));
    return Ref::borrowed(argument);
  }
  Ref inner;
  if (unwrap_list(argument, pieces, inner)) return inner;
  return checked(PyObject_CallFunctionObjArgs(python.unwrap, plan.self, argument, pieces.operands.get(),
                                              pieces.skeleton.get(), pieces.floats.get(), nullptr));
}

/// A fresh result: memory of its own, a device tensor that shows it.
Ref fresh(PyObject* inner, PyObject* writes, long place, PyObject* handle) {
  PyObject* kind = checked_borrowed(PyList_GetItem(python.KINDS, place));
  Ref memory = checked(new_storage(size_of(inner), kind, place));
  Wrapped made = wrap(inner, memory.get(), handle);
  PyObject* allocation = reinterpret_cast<Storage*>(memory.get())->allocation;
  check(PyList_Append(writes, untracked(PyTuple_Pack(2, allocation, made.geometry.get())).get()));
  return std::move(made.outer);
}

void note_written(const Plan& plan, PyObject* tensor, PyObject* writes) {
  if (!is_device_tensor(tensor)) return;
  if (plan.resizes) {
    Ref geometry = own(tensor, names.geometry);
    Ref shape = attribute(own(tensor, names.elements).get(), names.shape);
    const int same =
        PyObject_RichCompareBool(shape.get(), checked_borrowed(PyTuple_GetItem(geometry.get(), 1)), Py_EQ);
    check(same);
    if (!same || plan.changes_geometry) checked(PyObject_CallOneArg(python.adopt_geometry, tensor));
  }
  check(PyList_Append(writes, operand_of(tensor).get()));
}

/// The argument at a position of `plan.written`; null where it was not given.
PyObject* written_argument(const Plan& plan, size_t index, PyObject* args, PyObject* kwargs) {
  const Py_ssize_t position = plan.written[index];
  if (position < PyTuple_GET_SIZE(args)) return PyTuple_GET_ITEM(args, position);
  if (!kwargs) return nullptr;
  PyObject* found = PyDict_GetItemWithError(kwargs, plan.written_names[index]);
  if (!found && PyErr_Occurred()) throw Raised();
  return found;
}

/// Whether the first argument is a list of device tensors alone, whose operands stand first then.
bool leads_operands(PyObject* list, PyObject* operands) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  if (count > PyList_GET_SIZE(operands)) return false;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!is_device_tensor(PySequence_Fast_GET_ITEM(list, i))) return false;
  }
  return true;
}

/// Results of an operator that writes arguments: the same tensors, and fresh ones beside them.
Ref written(const Plan& plan, PyObject* args, PyObject* kwargs, PyObject* result, PyObject* operands,
            PyObject* writes, long place, PyObject* handle) {
  for (size_t index = 0; index < plan.written.size(); ++index) {
    PyObject* target = written_argument(plan, index, args, kwargs);
    if (!target) continue;
    if (PyList_Check(target) || PyTuple_Check(target)) {
      if (!plan.written[index] && !plan.resizes && leads_operands(target, operands)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(target); ++i) {
          check(PyList_Append(writes, PyList_GET_ITEM(operands, i)));
        }
        continue;
      }
      for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(target); ++i) {
        note_written(plan, PySequence_Fast_GET_ITEM(target, i), writes);
      }
    } else {
      note_written(plan, target, writes);
    }
  }
  const auto result_of = [&](size_t index, PyObject* inner) {
    const Py_ssize_t position = index < plan.returned.size() ? plan.returned[index] : -1;
    if (position >= 0) {
      for (size_t each = 0; each < plan.written.size(); ++each) {
        if (plan.written[each] == position) {
          PyObject* argument = written_argument(plan, each, args, kwargs);
          if (argument) return Ref::borrowed(argument);
        }
      }
    }
    return is_tensor(inner) ? fresh(inner, writes, place, handle) : Ref::borrowed(inner);
  };
  if (result == Py_None || plan.returned.empty()) return Ref::borrowed(Py_None);
  if (!PyTuple_Check(result)) return result_of(0, result);
  const Py_ssize_t count = PyTuple_GET_SIZE(result);
  Ref results = checked(PyTuple_New(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(results.get(), i,
                     result_of(static_cast<size_t>(i), PyTuple_GET_ITEM(result, i)).release());
  }
  return results;
}

void append_record(const Plan& plan, PyObject* recorder, Pieces& pieces, PyObject* writes, PyObject* place) {
  Ref skeleton = untracked(PyList_AsTuple(pieces.skeleton.get()));
  PyObject* floats = PyList_GET_SIZE(pieces.floats.get()) ? pieces.floats.get() : empty_tuple;
  Ref record =
      untracked(PyTuple_Pack(6, plan.self, skeleton.get(), floats, pieces.operands.get(), writes, place));
  Ref records = attribute(recorder, names.records);
  check(PyList_Append(records.get(), record.get()));
}

void tell_to_host(PyObject* recorder, long bytes, PyObject* reason) {
  Ref size = checked(PyLong_FromLong(bytes));
  Ref method = attribute(recorder, names.to_host);
  checked(PyObject_CallFunctionObjArgs(method.get(), size.get(), reason, nullptr));
}

/// `device` among keyword arguments: elements are made where they lie. Whether the result is for the host.
bool place_device(PyObject* argument, PyObject* inner_kwargs) {
  bool to_host = false;
  if (argument != Py_None) {
    const int same = PyObject_RichCompareBool(attribute(argument, names.type).get(), python.DEVICE_TYPE, Py_EQ);
    check(same);
    to_host = !same;
  }
  Ref given = argument == Py_None || to_host ? Ref::borrowed(argument) : attribute(python.DEVICE, names.inner_device);
  check(PyDict_SetItem(inner_kwargs, names.device, given.get()));
  return to_host;
}

Ref evaluate(const Plan& plan, PyObject* args, PyObject* kwargs) {
  const Py_ssize_t count = PyTuple_GET_SIZE(args);
  Pieces pieces;
  Ref inner_args = checked(PyTuple_New(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(inner_args.get(), i, unwrap(plan, PyTuple_GET_ITEM(args, i), pieces).release());
  }
  Ref inner_kwargs;
  bool to_host = false;
  if (kwargs && PyDict_GET_SIZE(kwargs)) {
    inner_kwargs = checked(PyDict_New());
    Py_ssize_t position = 0;
    PyObject *name, *argument;
    while (PyDict_Next(kwargs, &position, &name, &argument)) {
      if (PyUnicode_Compare(name, names.device) == 0) {
        to_host = place_device(argument, inner_kwargs.get());
      } else if (PyUnicode_Compare(name, names.pin_memory) != 0) {
        const Py_ssize_t before = PyList_GET_SIZE(pieces.skeleton.get());
        Ref inner = unwrap(plan, argument, pieces);
        check(PyDict_SetItem(inner_kwargs.get(), name, inner.get()));
        Ref pair = checked(PyTuple_Pack(2, name, PyList_GET_ITEM(pieces.skeleton.get(), before)));
        Ref entry = checked(PyObject_CallOneArg(python.Keyword, pair.get()));
        check(PyList_SetItem(pieces.skeleton.get(), before, entry.release()));
      }
    }
  }
  Ref recorder = attribute(python.DEVICE, names.recorder);
  const bool records = recorder.get() != Py_None;
  Ref place = records ? current_place() : checked(PyLong_FromLong(0));
  const long place_number = number_of(place.get());
  Ref kernel = attribute(plan.self, names.kernel);
  if (kernel.get() == Py_None) {
    Ref handlers = attribute(python.DEVICE, names.handlers);
    kernel = checked(PyObject_CallOneArg(handlers.get(), attribute(plan.self, operator_text).get()));
    if (kernel.get() == Py_None) kernel = Ref::borrowed(plan.host);
    check(PyObject_SetAttr(plan.self, names.kernel, kernel.get()));
  }
  Ref result = checked(PyObject_Call(kernel.get(), inner_args.get(), inner_kwargs.get()));
  if (to_host) return result;
  Ref handle = attribute(python.DEVICE, names.handle);
  Ref writes = untracked(PyList_New(0));
  if (plan.in_place && count && is_device_tensor(PyTuple_GET_ITEM(args, 0))) {
    result = Ref::borrowed(PyTuple_GET_ITEM(args, 0));
    check(PyList_Append(writes.get(), operand_of(result.get()).get()));
  } else if (!plan.written.empty()) {
    result = written(plan, args, kwargs, result.get(), pieces.operands.get(), writes.get(), place_number,
                     handle.get());
  } else if (Py_TYPE(result.get()) == reinterpret_cast<PyTypeObject*>(python.Tensor)) {
    result = fresh(result.get(), writes.get(), place_number, handle.get());
  } else if (PyTuple_Check(result.get()) || PyList_CheckExact(result.get())) {
    const Py_ssize_t results = PySequence_Fast_GET_SIZE(result.get());
    const bool is_list = PyList_CheckExact(result.get());
    Ref outer = checked(is_list ? PyList_New(results) : PyTuple_New(results));
    for (Py_ssize_t i = 0; i < results; ++i) {
      PyObject* inner = PySequence_Fast_GET_ITEM(result.get(), i);
      PyObject* made = (is_tensor(inner) ? fresh(inner, writes.get(), place_number, handle.get())
                                         : Ref::borrowed(inner))
                           .release();
      if (is_list) {
        PyList_SET_ITEM(outer.get(), i, made);
      } else {
        PyTuple_SET_ITEM(outer.get(), i, made);
      }
    }
    result = std::move(outer);
  } else if (records && (PyLong_Check(result.get()) || PyFloat_Check(result.get()) || PyComplex_Check(result.get()))) {
    append_record(plan, recorder.get(), pieces, empty_tuple, place.get());
    tell_to_host(recorder.get(), 1, item_text);
    return result;
  }
  if (records && !plan.is_allocation) {
    append_record(plan, recorder.get(), pieces, writes.get(), place.get());
    if (plan.needs_extent) tell_to_host(recorder.get(), 8, extent_text);
  }
  return result;
}

Ref view(const Plan& plan, PyObject* args, PyObject* kwargs) {
  const Py_ssize_t count = PyTuple_GET_SIZE(args);
  PyObject* base = PyTuple_GET_ITEM(args, 0);
  Ref inner_args = checked(PyTuple_New(count));
  PyTuple_SET_ITEM(inner_args.get(), 0, own(base, names.elements).release());
  for (Py_ssize_t i = 1; i < count; ++i) {
    PyTuple_SET_ITEM(inner_args.get(), i, Ref::borrowed(PyTuple_GET_ITEM(args, i)).release());
  }
  Ref inner = checked(PyObject_Call(plan.host, inner_args.get(), kwargs));
  Ref inference = checked(PyObject_CallNoArgs(python.is_inference));
  if (inference.get() == Py_True || Py_TYPE(inner.get()) != reinterpret_cast<PyTypeObject*>(python.Tensor)) {
    return checked(PyObject_CallFunctionObjArgs(python.wrap_views, inner.get(), base, nullptr));
  }
  return wrap(inner.get(), own(base, names.memory).get(), attribute(python.DEVICE, names.handle).get()).outer;
}

Ref dispatch(const Plan& plan, PyObject* args, PyObject* kwargs) {
  Ref override = attribute(plan.self, names.override);
  if (override.get() != Py_None) {
    Ref given = kwargs ? Ref::borrowed(kwargs) : checked(PyDict_New());
    return checked(PyObject_CallFunctionObjArgs(override.get(), plan.self, args, given.get(), nullptr));
  }
  if (plan.is_view && PyTuple_GET_SIZE(args) && is_device_tensor(PyTuple_GET_ITEM(args, 0))) {
    return view(plan, args, kwargs);
  }
  return evaluate(plan, args, kwargs);
}

// --- what Python calls -----------------------------------------------------------------------------------------

template <typename Body>
PyObject* guarded(Body body) {
  try {
    return body().release();
  } catch (const Raised&) {
    return nullptr;
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyObject* dictionary(PyObject* kwargs) { return kwargs == Py_None ? nullptr : kwargs; }

bool has_arguments(Py_ssize_t given, Py_ssize_t wanted, const char* name) {
  if (given == wanted) return true;
  PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, given);
  return false;
}

/// An error that would cross PyTorch's backward engine is kept instead.
PyObject* kept_or_raised() {
  if (!PyErr_ExceptionMatches(PyExc_Exception)) return nullptr;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  Ref by_engine(PyObject_CallNoArgs(python.is_called_by_engine));
  if (by_engine.get() != Py_True) {
    if (by_engine) {
      PyErr_Restore(type, value, trace);
    } else {
      Py_XDECREF(type);
      Py_XDECREF(value);
      Py_XDECREF(trace);
    }
    return nullptr;
  }
  PyObject* no_tensor = PyObject_CallOneArg(python.kept, value);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(trace);
  return no_tensor;
}

PyObject* torch_dispatch(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (count < 2 || count > 4) return has_arguments(count, 4, "__torch_dispatch__"), nullptr;
  PyObject* types = given[1];
  PyObject* args = count > 2 ? given[2] : empty_tuple;
  PyObject* kwargs = count > 3 ? dictionary(given[3]) : nullptr;
  PyObject* result = guarded([&] {
    // Types come as a tuple or, from other tensor classes, as any collection.
    Ref all = checked(PySequence_Fast(types, "types of a call"));
    const Py_ssize_t classes = PySequence_Fast_GET_SIZE(all.get());
    for (Py_ssize_t i = 0; classes > 1 && i < classes; ++i) {
      const int known = PySet_Contains(python.COMPANIONS, PySequence_Fast_GET_ITEM(all.get(), i));
      check(known);
      // A tensor that holds device tensors (nested, distributed) takes the call.
      if (!known) return Ref::borrowed(Py_NotImplemented);
    }
    Ref tuple = PyTuple_CheckExact(args) ? Ref::borrowed(args) : checked(PySequence_Tuple(args));
    return dispatch(plan_of(given[0]), tuple.get(), kwargs);
  });
  return result ? result : kept_or_raised();
}

PyObject* module_dispatch(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (!has_arguments(count, 3, "dispatch")) return nullptr;
  return guarded([&] {
    Ref args = checked(PySequence_Tuple(given[1]));
    return dispatch(plan_of(given[0]), args.get(), dictionary(given[2]));
  });
}

PyObject* module_evaluate(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (!has_arguments(count, 3, "evaluate")) return nullptr;
  return guarded([&] {
    Ref args = checked(PySequence_Tuple(given[1]));
    return evaluate(plan_from(given[0]), args.get(), dictionary(given[2]));
  });
}

/// A kernel that PyTorch's core calls: the overload, then the arguments of the call.
PyObject* module_kernel(PyObject*, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    Ref rest = checked(PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args)));
    return dispatch(plan_of(checked_borrowed(PyTuple_GetItem(args, 0))), rest.get(), kwargs);
  });
}

PyObject* module_wrap(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (!has_arguments(count, 3, "wrap")) return nullptr;
  return guarded([&] { return wrap(given[0], given[1], given[2]).outer; });
}

PyObject* module_current_place(PyObject*, PyObject*) {
  return guarded([] { return current_place(); });
}

PyObject* module_user_line(PyObject*, PyObject* frame) {
  return guarded([&] {
    Ref state = attribute(python.STATE, names.__dict__);
    Line at = user_line_of(frame == Py_None ? Ref() : Ref::borrowed(frame), entry_of(state.get(), names.modules));
    return checked(PyTuple_Pack(2, at.code.get(), at.line.get()));
  });
}

/// PyTorch asks before each call whether someone registered a rule for the operator and the class.
PyObject* module_find_rule(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (count == 2 && given[1] == python.DeviceTensor) Py_RETURN_NONE;
  return PyObject_Vectorcall(python.find_rule, given, static_cast<size_t>(count), nullptr);
}

/// Numbers allocations in order of first appearance in one list of records.
class Positions {
 public:
  Positions() : list_(++lists_so_far_) {}
  long number_of(PyObject* object) {
    if (Py_TYPE(object) != &allocation_type) {
      PyErr_SetString(PyExc_TypeError, "an operand of a record is an Allocation and a geometry");
      throw Raised();
    }
    auto* allocation = reinterpret_cast<Allocation*>(object);
    if (allocation->list != list_) {
      allocation->list = list_;
      allocation->position = next_++;
    }
    return allocation->position;
  }

 private:
  static inline long long lists_so_far_ = 0;
  long long list_;
  long next_ = 0;
};

/// Gives equal objects one number, the same as long as the process lives.
class Numbers {
 public:
  long of(PyObject* object) {
    const auto known = by_identity_.find(object);
    if (known != by_identity_.end()) return known->second;
    if (!by_value_) by_value_ = checked(PyDict_New()).release();
    PyObject* number = PyDict_GetItemWithError(by_value_, object);
    if (number) return number_of(number);
    if (PyErr_Occurred()) throw Raised();
    const long next = static_cast<long>(by_identity_.size());
    check(PyDict_SetItem(by_value_, object, checked(PyLong_FromLong(next)).get()));
    by_identity_[object] = next;  // the dictionary keeps it, so that its address stays its own
    return next;
  }

 private:
  std::unordered_map<PyObject*, long> by_identity_;
  PyObject* by_value_ = nullptr;
};

Numbers geometry_numbers;
Numbers skeleton_numbers;

PyObject* module_signature(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (!has_arguments(count, 2, "signature")) return nullptr;
  return guarded([&] {
    PyObject* records = given[0];
    Positions positions;
    std::vector<long long> key;
    const Py_ssize_t calls = PyList_GET_SIZE(records);
    key.reserve(static_cast<size_t>(calls) * 12 + 1);
    key.push_back(skeleton_numbers.of(given[1]));
    for (Py_ssize_t i = 0; i < calls; ++i) {
      PyObject* record = PyList_GET_ITEM(records, i);
      key.push_back(reinterpret_cast<intptr_t>(PyTuple_GET_ITEM(record, 0)));  // a plan lives as long as the process
      key.push_back(skeleton_numbers.of(PyTuple_GET_ITEM(record, 1)));
      key.push_back(number_of(PyTuple_GET_ITEM(record, 5)));
      for (const Py_ssize_t field : {3, 4}) {
        PyObject* operands = PyTuple_GET_ITEM(record, field);
        const Py_ssize_t tensors = PySequence_Fast_GET_SIZE(operands);
        key.push_back(tensors);
        for (Py_ssize_t j = 0; j < tensors; ++j) {
          PyObject* operand = PySequence_Fast_GET_ITEM(operands, j);
          key.push_back(positions.number_of(PyTuple_GET_ITEM(operand, 0)));
          key.push_back(geometry_numbers.of(PyTuple_GET_ITEM(operand, 1)));
        }
      }
    }
    return checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(key.data()),
                                             static_cast<Py_ssize_t>(key.size() * sizeof(long long))));
  });
}

PyObject* module_keep_books(PyObject*, PyObject* args) {
  PyObject *events, *settle;
  if (!PyArg_ParseTuple(args, "O!On", &PyList_Type, &events, &settle, &settle_after_events)) return nullptr;
  Py_INCREF(events);
  Py_INCREF(settle);
  ledger_events = events;
  ledger_settle = settle;
  Py_RETURN_NONE;
}

/// Takes over a dictionary of the Python side's objects.
PyObject* module_connect(PyObject*, PyObject* given) {
  return guarded([&] {
    if (!PyDict_Check(given)) {
      PyErr_SetString(PyExc_TypeError, "connect takes a dictionary");
      throw Raised();
    }
#define TAKE(name)                                                         \
  {                                                                        \
    PyObject* object = PyDict_GetItemString(given, #name);                 \
    if (object) {                                                          \
      Py_INCREF(object);                                                   \
      python.name = object;                                                \
    }                                                                      \
  }
    OBJECTS(TAKE)
#undef TAKE
    return Ref::borrowed(Py_None);
  });
}

PyMethodDef methods[] = {
    {"connect", module_connect, METH_O, "Takes over objects of the Python side, by name."},
    {"keep_books", module_keep_books, METH_VARARGS, "Where allocations and frees are noted."},
    {"torch_dispatch", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(torch_dispatch)), METH_FASTCALL,
     "DeviceTensor.__torch_dispatch__"},
    {"dispatch", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_dispatch)), METH_FASTCALL,
     "Runs one operator on the device."},
    {"evaluate", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_evaluate)), METH_FASTCALL,
     "Runs an operator that is no view."},
    {"kernel", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_kernel)),
     METH_VARARGS | METH_KEYWORDS, "Runs an overload, given first, with the arguments after it."},
    {"wrap", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_wrap)), METH_FASTCALL,
     "A device tensor over a plain one."},
    {"current_place", module_current_place, METH_NOARGS, "The place of the operator being dispatched."},
    {"user_line", module_user_line, METH_O, "The nearest line of the user's at or above a frame."},
    {"find_rule", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_find_rule)), METH_FASTCALL,
     "What PyTorch's registry has for an operator and a class of tensors."},
    {"signature", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_signature)), METH_FASTCALL,
     "What two lists of records share if they are the same segment."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "seam", "The hot path of a capture.", -1, methods,
                          nullptr,               nullptr, nullptr,                     nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_seam() {
#define INTERN(name)                                                     \
  if (!(names.name = PyUnicode_InternFromString(#name))) return nullptr;
  NAMES(INTERN)
#undef INTERN
  operator_text = PyUnicode_InternFromString("operator");
  forward_text = PyUnicode_InternFromString("forward");
  backward_text = PyUnicode_InternFromString("backward");
  optimizer_text = PyUnicode_InternFromString("optimizer");
  backward_of_text = PyUnicode_InternFromString("backward of");
  empty_text = PyUnicode_InternFromString("");
  item_text = PyUnicode_InternFromString("item");
  extent_text = PyUnicode_InternFromString("extent");
  tensors_text = PyUnicode_InternFromString("tensors");
  empty_tuple = PyTuple_New(0);
  one = PyLong_FromLong(1);
  if (PyErr_Occurred() || !ready_types()) return nullptr;
  Ref module(PyModule_Create(&definition));
  if (!module) return nullptr;
  if (PyModule_AddStringConstant(module.get(), "sources", ANYCHIP_SOURCES) < 0 ||
      PyModule_AddObjectRef(module.get(), "Allocation", reinterpret_cast<PyObject*>(&allocation_type)) < 0 ||
      PyModule_AddObjectRef(module.get(), "Storage", reinterpret_cast<PyObject*>(&storage_type)) < 0) {
    return nullptr;
  }
  return module.release();
}
