// What has expired goes from the store too, though its key is never met again.

extension WriteBack {
  /// Looks at some of the store's rows, going on where the last sweep stopped, and takes up the keys that have something that has expired
  /// and are not in memory, so that it goes with the next flush. `budget` rows at most; those that are fine cost no more
  /// than reading them.
  func sweepStore(budget: Int) throws(EngineError) {
    guard hasTTL, !isStoreEmpty, keys.partCount > 0, !hasFailed else { return }
    try guarded { () throws(EngineError) in
      var left = budget
      // Once round at most.
      for _ in 0...binding.groups.groups.count where left > 0 {
        let found = try expiredKeys(&left)
        if found.isEmpty { continue }
        for slot in try takeUp(found) {
          states.unrecorded { for (column, _) in keyed { column.sweep(slot: slot) } }
        }
      }
    }
  }

  /// After a chunk: an eighth of its rows, so that it is not felt.
  func sweepStore(afterRows rows: Int) throws(EngineError) { try sweepStore(budget: min(max(rows / 8, 8), 1024)) }

  /// While the input is idle. What goes wrong comes out of the next flush.
  func sweepStoreWhileIdle() {
    do throws(EngineError) { try sweepStore(budget: 4096) } catch { idleFailure = error }
    evict()
  }

  private var hasTTL: Bool { keyed.contains { $0.column.expiry != nil } }

  /// Of the group that the sweep is at: reads at most `left` rows, and goes to the next group at its end.
  private func expiredKeys(_ left: inout Int) throws(EngineError) -> [[UInt8]] {
    let groups = binding.groups.groups
    if sweepGroup < groups.lowerBound || sweepGroup >= groups.upperBound { sweepGroup = groups.lowerBound }
    let head = rows.group(sweepGroup)
    let classes = keys.schema.parts.map(\.keyClass)
    var range = KeyRange(sweepFrom ?? head, upTo: KeyRange.successor(ofPrefix: head))
    var found: [[UInt8]] = []
    reading: while true {
      let cursor = try store.cursor(binding.states, range)
      defer { cursor.close() }
      while left > 0, try cursor.next() {
        left -= 1
        let rest = UnsafeRawBufferPointer(rebasing: cursor.key[StoreKeys.headSize...])
        guard let size = KeyEncoding.size(rest, classes), size < rest.count else {
          throw damaged("it has a key that is none of operator \(rows.operatorNumber)'s")
        }
        let key = Array(rest[..<size])
        sweepFrom = head + key + [StoreKeys.entries]
        if rest[size] == StoreKeys.record {
          if try holdsExpired(cursor.value) { found.append(key) }
          continue
        }
        // Over the rows of a large list or map at one go.
        sweepFrom = head + key + [StoreKeys.entries + 1]
        range = KeyRange(head + key + [StoreKeys.entries + 1], upTo: range.upper)
        continue reading
      }
      break
    }
    if left > 0 {
      sweepGroup += 1
      sweepFrom = nil
    }
    return found
  }

  /// Whether something of the row has expired, or may have: what has rows of its own is looked at in memory.
  private func holdsExpired(_ row: UnsafeRawBufferPointer) throws(EngineError) -> Bool {
    var result = false
    _ = try StateRow.forEach(row) { part throws(EngineError) in
      if result { return }
      for (column, number) in keyed where number == part.number {
        guard let expiry = column.expiry else { continue }
        switch part.form {
        case StateRow.large: result = true
        case StateRow.timedWord:
          result = expiry.hasExpired(Int64(littleEndian: part.content.loadUnaligned(fromByteOffset: 8, as: Int64.self)))
        case StateRow.inline: result = column.holdsExpired(part.content, expiry)
        default: break
        }
      }
    }
    return result
  }
}
