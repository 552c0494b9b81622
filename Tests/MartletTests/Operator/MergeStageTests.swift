import Testing

@testable import Martlet

/// The merge of two inputs, against one that has both sequences of elements as lists, and whatever the chunks.
@Suite struct MergeStageTests {
  enum Element: Equatable {
    /// Record number `row` of its side.
    case record(row: Int, time: Int64)
    case watermark(Int64)

    var key: Int64 {
      switch self {
      case .record(_, let time): time
      case .watermark(let watermark): watermark
      }
    }
  }

  enum Merged: Equatable {
    case record(InputSide, row: Int, time: Int64)
    case watermark(Int64)
  }

  /// The rules, as `MergeStage` words them, over lists.
  static func reference(_ left: [Element], _ right: [Element], _ kind: OperatorKind, rightFirst: Bool) -> [Merged] {
    var rest: [InputSide: ArraySlice<Element>] = [.left: left[...], .right: right[...]]
    var valve = WatermarkValve(channels: 2)
    var merged: [Merged] = []
    let favoured: InputSide = kind == .broadcast ? .right : .left
    var turn = favoured
    func note(_ watermark: Int64?) { if let watermark { merged.append(.watermark(watermark)) } }
    while true {
      for side in rightFirst ? [InputSide.right, .left] : [.left, .right] where rest[side]!.isEmpty {
        if rightFirst, side == .left, !rest[.right]!.isEmpty { continue }
        note(valve.finish(side.rawValue).watermark)
      }
      var side: InputSide
      switch (rest[.left]!.first, rest[.right]!.first) {
      case (nil, nil): return merged
      case (_?, nil): side = .left
      case (nil, _?): side = .right
      case (let l?, let r?):
        if rightFirst {
          side = .right
        } else if l.key == r.key, l.key == EventTime.none {
          side = turn
          turn = turn.other
        } else {
          side = l.key == r.key ? favoured : l.key < r.key ? .left : .right
        }
      }
      switch rest[side]!.removeFirst() {
      case .record(let row, let time): merged.append(.record(side, row: row, time: time))
      case .watermark(let watermark): note(valve.advance(side.rawValue, to: watermark))
      }
    }
  }

  /// A sequence as a source or an operator would give it.
  private func sequence(_ random: inout SeededGenerator, times: Bool, watermarks: Bool) -> [Element] {
    var elements: [Element] = []
    var row = 0
    var last = Int64.min
    var now: Int64 = 0
    for _ in 0..<Int.random(in: 0...60, using: &random) {
      now += Int64.random(in: -3...6, using: &random)
      if watermarks, Int.random(in: 0..<3, using: &random) == 0 {
        if now - 2 > last { elements.append(.watermark(now - 2)) }
        last = max(last, now - 2)
      } else {
        let isTimed = times && Int.random(in: 0..<8, using: &random) > 0
        elements.append(.record(row: row, time: isTimed ? now : EventTime.none))
        row += 1
      }
    }
    return elements
  }

  /// Cuts a sequence into chunks, each of rows of one of several batches, or watermarks alone.
  private func feed(
    _ stage: MergeStage, _ elements: [Element], _ side: InputSide, _ batches: [RecordBatch],
    _ random: inout SeededGenerator
  ) -> [() -> Void] {
    var steps: [() -> Void] = []
    var rest = elements[...]
    let isTimed = elements.contains { if case .record(_, let time) = $0 { time != EventTime.none } else { false } }
    while !rest.isEmpty {
      var times: [Int64] = []
      var rows: [Int32] = []
      var marks: [WatermarkMark] = []
      var number = -1
      for _ in 0..<Int.random(in: 1...9, using: &random) {
        guard let element = rest.first else { break }
        switch element {
        case .record(let row, let time):
          if number >= 0, number != row / 7 { break }
          number = row / 7
          rows.append(Int32(row % 7))
          times.append(time)
          rest.removeFirst()
        case .watermark(let watermark):
          marks.append(WatermarkMark(position: rows.count, watermark: watermark))
          rest.removeFirst()
        }
      }
      let selects = Bool.random(using: &random)
      steps.append { [rows, times, marks, number] in
        marks.withUnsafeBufferPointer { marks in
          guard !rows.isEmpty else { return stage.add(marks, side) }
          times.withUnsafeBufferPointer { times in
            rows.withUnsafeBufferPointer { rows in
              stage.add(
                Chunk(
                  batch: batches[number],
                  selection: RowSelection(
                    start: Int(rows[0]), count: rows.count, rows: selects ? rows.baseAddress : nil),
                  timestamps: isTimed ? times.baseAddress : nil, marks: marks, firstRecord: Int64(number * 7)),
                side)
            }
          }
        }
      }
    }
    steps.append { stage.end(side) }
    return steps
  }

  private func drain(_ stage: MergeStage, _ batches: [[RecordBatch]], into merged: inout [Merged]) {
    while let work = try? stage.next() {
      switch work {
      case .watermarks(let marks): merged += marks.map { .watermark($0.watermark) }
      case .records(let chunk):
        var mark = 0
        func pass(_ position: Int) {
          while mark < chunk.marks.count, chunk.marks[mark].position <= position {
            merged.append(.watermark(chunk.marks[mark].watermark))
            mark += 1
          }
        }
        for (position, entry) in chunk.rows.enumerated() {
          pass(position)
          let side: InputSide = entry & MergedChunk.rightBit != 0 ? .right : .left
          let row = Int(entry & ~MergedChunk.rightBit)
          let first = side == .left ? chunk.firstLeft : chunk.firstRight
          let batch = side == .left ? chunk.left : chunk.right
          #expect(batch === batches[side.rawValue][Int(first) / 7])
          merged.append(.record(side, row: row + Int(first), time: chunk.timestamps?[position] ?? EventTime.none))
        }
        pass(chunk.rows.count)
        #expect(mark == chunk.marks.count)
      }
    }
  }

  @Test(arguments: [(OperatorKind.connect, false), (.broadcast, false), (.broadcast, true)])
  func followsFromTheSequencesAlone(_ kind: OperatorKind, _ rightFirst: Bool) throws {
    let batches = try (0..<2).map { _ in
      try (0..<10).map { _ in try batch([Field("x", .int64)], (0..<7).map { [.int($0)] }) }
    }
    for seed in UInt64(0)..<400 {
      var random = SeededGenerator(seed)
      let left = sequence(&random, times: seed % 5 != 0, watermarks: seed % 7 != 0)
      let right = sequence(&random, times: seed % 3 != 0, watermarks: seed % 4 != 0)
      let expected = MergeStageTests.reference(left, right, kind, rightFirst: rightFirst)
      let stage = MergeStage(kind, rightFirst ? .rightFirst : .timestamps)
      var steps = [
        feed(stage, left, .left, batches[0], &random)[...], feed(stage, right, .right, batches[1], &random)[...],
      ]
      var merged: [Merged] = []
      while !steps.allSatisfy({ $0.isEmpty }) {
        // Now and then as the job would read, otherwise anything that is left.
        var side = stage.waitsFor?.rawValue ?? Int.random(in: 0...1, using: &random)
        if steps[side].isEmpty || Int.random(in: 0..<4, using: &random) == 0 { side = 1 - side }
        if let step = steps[side].popFirst() { step() }
        if Bool.random(using: &random) { drain(stage, batches, into: &merged) }
      }
      drain(stage, batches, into: &merged)
      #expect(merged == expected, "seed \(seed)")
      #expect(stage.waitingRows == 0 && stage.waitsFor == nil)
    }
  }

  /// By arrival, every chunk goes on at once.
  @Test func asTheyCome() throws {
    let some = try batch([Field("x", .int64)], [[.int(1)], [.int(2)]])
    let stage = MergeStage(.connect, .arrival)
    func push(_ side: InputSide, _ time: Int64) -> [Merged] {
      let times = [time, time]
      let marks = [WatermarkMark(position: 2, watermark: time - 1)]
      times.withUnsafeBufferPointer { times in
        marks.withUnsafeBufferPointer { marks in
          stage.add(
            Chunk(
              batch: some, selection: RowSelection(start: 0, count: 2), timestamps: times.baseAddress, marks: marks,
              firstRecord: 0), side)
        }
      }
      var merged: [Merged] = []
      drain(stage, [[some], [some]], into: &merged)
      return merged
    }
    func rows(_ side: InputSide, _ time: Int64) -> [Merged] { (0..<2).map { .record(side, row: $0, time: time) } }
    #expect(push(.left, 50) == rows(.left, 50))
    #expect(push(.right, 20) == rows(.right, 20) + [.watermark(19)])
    #expect(push(.right, 10) == rows(.right, 10))
    #expect(stage.waitsFor == nil && stage.setIdle(.right, true) == 49 && stage.isIdle(.right))
    #expect(push(.left, 60) == rows(.left, 60) + [.watermark(59)])
    #expect(stage.setIdle(.right, false) == nil)
    stage.end(.left)
    var merged: [Merged] = []
    drain(stage, [], into: &merged)
    #expect(merged == [] && push(.right, 70) == rows(.right, 70) + [.watermark(69)])
  }
}
