from minilayer.node cimport Node

cpdef note_versions(Node node, tuple inputs, tuple outputs)
cpdef save_from(Node node, array)
cpdef check_versions(Node node)
