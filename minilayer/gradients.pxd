from minilayer._ext.dispatch cimport Family
from minilayer.node cimport TensorBase

cpdef added(held, owned, g)
cpdef bint fresh(g)
cpdef bint alike(a, b)
cpdef describe(x)
cpdef collect(TensorBase leaf, g, bint private)
cpdef sum_to(g, shape)
cpdef fitted(op, int i, g, shape)
cpdef run_hooks(hooks, g)
cpdef pass_hooks(dict hooks, int slot, g)
cpdef bint is_private(Py_ssize_t i, tuple result, g)
