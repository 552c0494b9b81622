import CBenchPeers

/// How many allocations `work` makes, on any thread.
public func allocations(during work: () throws -> Void) rethrows -> Int {
  let before = allocation_count()
  try work()
  return Int(allocation_count() - before)
}

/// By how many bytes the heap has grown when `work` is done and its result still alive.
public func heapGrowth<Result>(keeping work: () throws -> Result) rethrows -> (result: Result, bytes: Int) {
  let before = allocation_bytes_in_use()
  let result = try work()
  return (result, Int(allocation_bytes_in_use() - before))
}
