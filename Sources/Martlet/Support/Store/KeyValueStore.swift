/// An ordered store of bytes: what state that outlives the process, or outgrows its memory, is kept in.
///
/// A store has *families*, named when it is opened, and in each a map from byte keys to byte values, ordered by the unsigned
/// bytes of the key. Keys and values may be empty. The store knows nothing of operators, states or key groups: whoever
/// uses it puts them into the keys, most significant first, so that what is removed or moved together lies in one range.
///
/// What is relied on, and checked by one contract suite for every store:
///
/// 1. **A write batch happens as a whole or not at all**, over all families, in the order it was written, also when the process or
///    the machine dies in the middle.
/// 2. **What was written is read** by every `get` and cursor that begins after `write` has returned. A `get` as a whole, and a cursor
///    for its whole life, see the store as it was at one moment.
/// 3. **A copy is independent**: nothing done to the store afterwards changes it, nor the other way round.
/// 4. **After a failed write, copy or read** (`.storageFailed`, `.storageCorrupt`) the store refuses further work until it is opened
///    again, because it is not known what the disk holds. A failed write may turn out to have happened. A call
///    that is refused for its arguments (`.invalidArgument`, `.valueRange`) changes nothing.
///
/// Any thread may call any method at any time, except that `close` is the last call; a cursor and a batch are used by one thread
/// at a time. Every error names the store's path and the operation.
package protocol KeyValueStore: AnyObject, Sendable {
  /// Where the store is; for a store in memory where it was opened from, or nothing.
  var path: String { get }

  /// The names of the families, in the order of their numbers.
  var families: [String] { get }

  /// Looks up all keys at once and calls `receive` with the number and the value of each, in ascending order; the value is nil
  /// if the key is not there, and borrowed for the call. Keys may repeat. `receive` must not call the store.
  func get(_ keys: KeyList, in family: StoreFamily, _ receive: (Int, UnsafeRawBufferPointer?) -> Void)
    throws(EngineError)

  /// Carries out the batch, which stays as it is. An empty one does nothing but what the durability asks for.
  func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError)

  /// The entries of a range in ascending order of their keys, as they are now.
  func cursor(_ family: StoreFamily, _ range: KeyRange) throws(EngineError) -> any StoreCursor

  /// Makes every write so far durable. In a store that is not logged only a copy does that.
  func sync() throws(EngineError)

  /// A consistent and durable copy of the whole store in the new folder `path`, whose parent exists. Cheap: files that do not
  /// change any more are shared by hard links where both are on one disk. Open it with `StoreAccess.readOnly`, or through
  /// `StoreBackend.clone`, and it stays as it is.
  func copy(to path: String) throws(EngineError)

  /// How large the store is, about.
  func usage() throws(EngineError) -> StoreUsage

  /// Gives everything back, also the lock on the folder. Throws `.busy`, and does nothing, while cursors are open. What was written
  /// stays. Later calls of `close` do nothing, all others throw `.closed`.
  func close() throws(EngineError)
}

/// A family by its number: its place in the list of names that the store was opened with.
package struct StoreFamily: Hashable, Sendable {
  package var index: UInt8

  package init(_ index: UInt8) { self.index = index }
}

/// When a write counts as done.
package enum Durability: Sendable {
  /// It survives the process, however that ends; not the machine, until a later `sync` or synced write.
  case process
  /// It survives the machine, and so does every write before it.
  case machine
}

/// The keys from `lower` on, up to but not including `upper`.
package struct KeyRange: Hashable, Sendable {
  package var lower: [UInt8]
  /// nil: no end.
  package var upper: [UInt8]?

  package init(_ lower: [UInt8] = [], upTo upper: [UInt8]? = nil) {
    self.lower = lower
    self.upper = upper
  }

  /// The keys that begin with these bytes.
  package static func prefix(_ bytes: [UInt8]) -> KeyRange { KeyRange(bytes, upTo: successor(ofPrefix: bytes)) }

  /// The first key after all those that begin with these bytes: the last byte that is not FF one higher, and what follows it
  /// gone. nil if there is none, because the prefix is empty or all FF.
  package static func successor(ofPrefix bytes: [UInt8]) -> [UInt8]? {
    guard let last = bytes.lastIndex(where: { $0 != 0xFF }) else { return nil }
    return bytes[..<last] + [bytes[last] + 1]
  }
}

/// Goes through a range once, from its beginning. It sees the store as it was when the cursor was made. It closes when the last
/// reference goes.
package protocol StoreCursor: AnyObject {
  /// Moves to the next entry, the first time to the first one; false at the end.
  func next() throws(EngineError) -> Bool

  /// The key of the entry; valid until the next call of `next` or `close`. To be asked for only after `next` gave true.
  var key: UnsafeRawBufferPointer { get }

  /// Its value; the same holds.
  var value: UnsafeRawBufferPointer { get }

  func close()
}

/// Estimates, in bytes, but for the entries.
package struct StoreUsage: Equatable, Sendable {
  /// On disk, without what copies hold. 0 for a store in memory.
  package var diskBytes: Int64
  /// Of memory: write buffers, cached blocks, indexes. Not limited to it are open cursors.
  package var memoryBytes: Int64
  package var entries: Int64

  package init(diskBytes: Int64, memoryBytes: Int64, entries: Int64) {
    self.diskBytes = diskBytes
    self.memoryBytes = memoryBytes
    self.entries = entries
  }
}

extension KeyValueStore {
  /// Rows of it make no sense.
  func damaged(_ what: String) -> EngineError {
    EngineError(.storageCorrupt, "the store at '\(path)': \(what); restore from the checkpoint before it")
  }
}
