# One-element operations cost as much as their calls: with these types, Node and Family are reached without Python.
from minilayer._ext.dispatch cimport Family
from minilayer.node cimport Node
from minilayer.tape cimport apply2
from minilayer.device cimport empty_broadcast, empty_like
