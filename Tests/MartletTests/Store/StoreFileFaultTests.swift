import MartletRocksDB
import Testing

@testable import Martlet

#if compiler(>=6.3) && os(Linux)
  /// Each change of a file that RocksDB makes fails, in a call or in the background: an error says so, and what was there before is whole.
  @Suite struct StoreFileFaultTests {
    /// Every change, or, under sanitizers, which are slow, every so manieth: `MARTLET_FILE_FAULT_STRIDE`.
    private static var stride: Int { testSetting("MARTLET_FILE_FAULT_STRIDE", 1) }

    private static func options(_ path: String, isLogged: Bool, _ access: StoreAccess = .create) -> StoreOptions {
      var options = StoreOptions(path, families: StoreRig.families, access: access, memoryLimit: 4 << 20)
      options.isLogged = isLogged
      return options
    }

    /// Writes batches, all of a number's, of which some are buffered and some become tables, that are merged; and copies the store after
    /// some. Gives the numbers that were written, and copied, and what was thrown.
    private static func work(_ folder: String, isLogged: Bool) -> (written: Int, copied: Int, error: EngineError?) {
      var (written, copied) = (0, 0)
      do throws(EngineError) {
        let store = try RocksDBBackend().open(options(FilePath.join(folder, "store"), isLogged: isLogged))
        for number in 1...6 {
          let batch = WriteBatch()
          for key in 0..<(number == 2 ? 100 : 5000) {
            // Sorted, and of one size.
            try batch.put([UInt8(key >> 8), UInt8(key & 255)], [UInt8(number)], in: StoreRig.a)
          }
          try batch.put([], [UInt8(number)], in: StoreRig.b)
          try store.write(batch, .machine)
          written = number
          if number % 2 == 0 {
            try store.copy(to: FilePath.join(folder, "copy \(number)"))
            copied = number
          }
        }
        try store.close()
        return (written, copied, nil)
      } catch {
        return (written, copied, error)
      }
    }

    /// The number of the last batch in a store, if it has all of it.
    private static func number(_ path: String, _ access: StoreAccess, isLogged: Bool) throws -> Int {
      let store = try RocksDBBackend().open(options(path, isLogged: isLogged, access))
      defer { try? store.close() }
      let number = Int(try store.get([[]], in: StoreRig.b)[0]?[0] ?? 0)
      var (last, before) = (0, 0)
      for entry in try store.scan() { if Int(entry.value[0]) == number { last += 1 } else { before += 1 } }
      #expect(number == 2 ? (last, before) == (100, 4900) : (last, before) == (number == 0 ? 0 : 5000, 0))
      return number
    }

    @Test(arguments: [(isLogged: false, forGood: false), (false, true), (true, false)])
    func everyChangeOfAFileFails(isLogged: Bool, forGood: Bool) async throws {
      await #expect(processExitsWith: .success) { [isLogged = isLogged as Bool, forGood = forGood as Bool] in
        var (count, said) = (0, 0)
        while true {
          count += StoreFileFaultTests.stride
          let directory = try TemporaryDirectory()
          FaultPoint.storeFileChange.arm(.fail, at: count, forGood: forGood)
          let (written, copied, error) = StoreFileFaultTests.work(directory.path, isLogged: isLogged)
          if FaultPoint.storeFileChange.disarm() {
            #expect(error == nil)
            break
          }
          if let error {
            said += 1
            #expect(error.kind == .storageFailed && error.message.contains(directory.path), "change \(count): \(error)")
            #expect(error.message.contains("fault point 'store-file-change'"), "change \(count): \(error)")
          } else {
            #expect((written, copied) == (6, 6))
          }
          if copied > 0 {
            let found = try StoreFileFaultTests.number(directory("copy \(copied)"), .readOnly, isLogged: isLogged)
            #expect(found == copied, "change \(count)")
          }
          if isLogged, written > 0 {
            let found = try StoreFileFaultTests.number(directory("store"), .existing, isLogged: true)
            #expect(found == written || found == written + 1, "change \(count)")
          }
        }
        #expect(said * StoreFileFaultTests.stride > 100 && said < count)
      }
    }
  }
#endif
