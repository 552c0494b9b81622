/// The name of a timer as a number of its operator; `.none` for a timer without a name.
struct TimerName: BitwiseCopyable, Equatable {
  let number: UInt16

  static let none = TimerName(number: 0)
}

/// The timer names of one operator. A name stands for a kind of timer ("timeout", "report"), so there are few.
final class TimerNames {
  /// NUL-terminated, at a fixed address until the operator closes.
  @exclusivity(unchecked) private var names: [UnsafeBufferPointer<UInt8>] = []
  private var numbers: [String: UInt16] = [:]
  /// Up to this many names, comparing them one by one beats a dictionary.
  private static let fewNames = 8

  deinit { for name in names { name.deallocate() } }

  /// The name's number, a new one if it has none yet.
  func intern(_ text: UnsafeBufferPointer<UInt8>) throws(EngineError) -> TimerName {
    if let known = find(text) { return known }
    guard !text.isEmpty, !text.contains(0) else {
      throw EngineError(.invalidArgument, "a timer's name must not be empty and must not contain a NUL character")
    }
    guard names.count < Int(UInt16.max) else {
      throw EngineError(
        .valueRange,
        "more than 65535 timer names; a name is a kind of timer and each key has its own, so it need not contain the key"
      )
    }
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.count + 1)
    _ = copy.initialize(from: text)
    copy[text.count] = 0
    names.append(UnsafeBufferPointer(rebasing: copy[...]))
    numbers[String(decoding: text, as: UTF8.self)] = UInt16(names.count)
    return TimerName(number: UInt16(names.count))
  }

  /// The name's number, if it was ever used.
  func find(_ text: UnsafeBufferPointer<UInt8>) -> TimerName? {
    if names.count > TimerNames.fewNames {
      return numbers[String(decoding: text, as: UTF8.self)].map(TimerName.init)
    }
    for position in 0..<names.count where names[position].count == text.count + 1 {
      guard let left = names[position].baseAddress, let right = text.baseAddress else { continue }
      if compareBytes(left, right, text.count) == 0 { return TimerName(number: UInt16(position + 1)) }
    }
    return nil
  }

  /// The name's text, NUL-terminated; nil for `.none`.
  func cString(_ name: TimerName) -> UnsafePointer<CChar>? {
    guard name != .none else { return nil }
    return UnsafeRawPointer(names[Int(name.number) - 1].baseAddress)?.assumingMemoryBound(to: CChar.self)
  }

  func text(_ name: TimerName) -> String? { cString(name).map { String(cString: $0) } }
}
