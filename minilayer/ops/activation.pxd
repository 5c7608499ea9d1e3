# With these types, Node and Family are reached without Python.
from minilayer._ext.dispatch cimport Family
from minilayer.node cimport Node
from minilayer.device cimport empty_like
