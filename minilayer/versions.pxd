from minilayer.node cimport Node, TensorBase

cpdef note_versions(Node node, tuple inputs, tuple outputs)
cpdef note_versions2(Node node, TensorBase x, TensorBase y, TensorBase result)
cpdef save_from(Node node, array)
cpdef check_versions(Node node)
