package app

var ProcessMemory = processMemory
