import Testing

@testable import Martlet

/// Random programs, with copies, clones and opening again between the steps, against a dictionary.
@Suite struct StoreProgramTests {
  struct Model {
    var families: [Entries] = [[:], [:]]

    mutating func remove(_ range: KeyRange, _ family: Int) {
      families[family] = families[family].filter { !Model.contains(range, $0.key) }
    }

    static func contains(_ range: KeyRange, _ key: [UInt8]) -> Bool {
      !key.lexicographicallyPrecedes(range.lower) && (range.upper.map { key.lexicographicallyPrecedes($0) } ?? true)
    }

    func scan(_ range: KeyRange, _ family: Int) -> [[UInt8]] {
      families[family].keys.filter { Model.contains(range, $0) }
        .sorted { $0.lexicographicallyPrecedes($1) }.flatMap { [$0, families[family][$0] ?? []] }
    }
  }

  @Test(arguments: StoreKind.allCases, 1...2)
  func randomPrograms(kind: StoreKind, seed: Int) throws {
    var random = SeededGenerator(UInt64(seed))
    let rig = try StoreRig(kind)
    var model = Model()
    var copies: [(name: String, model: Model)] = []

    func key() -> [UInt8] {
      (0..<Int.random(in: 0...3, using: &random)).map { _ in [0, 1, 2, 254, 255].randomElement(using: &random) ?? 0 }
    }
    func range() -> KeyRange {
      switch Int.random(in: 0..<4, using: &random) {
      case 0: KeyRange.prefix(key())
      case 1: KeyRange(key())
      default: KeyRange(key(), upTo: key())
      }
    }
    func check(_ store: any KeyValueStore, _ model: Model, _ step: Int) throws {
      for family in 0..<2 {
        let keys = (0..<30).map { _ in key() }
        #expect(
          try store.get(keys, in: StoreFamily(UInt8(family))) == keys.map { model.families[family][$0] },
          "seed \(seed), step \(step)")
        let range = range()
        #expect(
          try store.scan(range, in: StoreFamily(UInt8(family))).flatMap { [$0.key, $0.value] }
            == model.scan(range, family), "seed \(seed), step \(step): \(range)")
      }
    }

    for step in 0..<120 {
      switch Int.random(in: 0..<20, using: &random) {
      case 0 where kind != .memory && kind != .faultyMemory: try rig.reopen()
      case 1 where copies.count < 4:
        copies.append(("copy \(step)", model))
        try rig.store.copy(to: rig.directory("copy \(step)"))
      case 2 where !copies.isEmpty:
        // Back to a copy, as a restore does.
        let copy = copies[Int.random(in: 0..<copies.count, using: &random)]
        try rig.store.close()
        try rig.backend.clone(rig.directory(copy.name), to: rig.directory("clone \(step)"))
        rig.store = try rig.open("clone \(step)", .existing)
        model = copy.model
        // From here on "store" is another folder.
        try rig.store.close()
        try PosixFileSystem().removeTree(rig.directory("store"))
        try PosixFileSystem().rename(rig.directory("clone \(step)"), to: rig.directory("store"))
        rig.store = try rig.open("store", .existing)
      case 3: try rig.store.sync()
      default:
        try rig.store.write(Bool.random(using: &random) ? .process : .machine) { batch in
          for _ in 0..<Int.random(in: 0...20, using: &random) {
            let family = Int.random(in: 0..<2, using: &random)
            let key = key()
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
              let range = range()
              guard range.upper != nil else { continue }
              try batch.remove(range, in: StoreFamily(UInt8(family)))
              model.remove(range, family)
            case 1...3:
              try batch.remove(key, in: StoreFamily(UInt8(family)))
              model.families[family][key] = nil
            default:
              let value = [UInt8](
                repeating: .random(in: 0...255, using: &random), count: .random(in: 0...40, using: &random))
              try batch.put(key, value, in: StoreFamily(UInt8(family)))
              model.families[family][key] = value
            }
          }
        }
      }
      try check(rig.store, model, step)
    }
    for copy in copies { try check(try rig.open(copy.name, .readOnly), copy.model, -1) }
  }
}
