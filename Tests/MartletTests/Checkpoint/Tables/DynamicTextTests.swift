import Testing

@testable import Martlet

/// Values without a type as text, and back.
@Suite struct DynamicTextTests {
  static func text(_ bytes: [UInt8], isKey: Bool = false) -> String {
    var text: [UInt8] = []
    bytes.withUnsafeBytes { isKey ? DynamicKeyText.append($0, to: &text) : DynamicText.append($0, to: &text) }
    return String(decoding: text, as: UTF8.self)
  }

  static func bytes(_ text: String, isKey: Bool = false) throws -> [UInt8] {
    let utf8 = Array(text.utf8)
    let result: Result<[UInt8], DynamicText.Fault> = utf8.withUnsafeBytes { utf8 in
      do throws(DynamicText.Fault) {
        return .success(isKey ? try DynamicKeyText.bytes(of: utf8) : try DynamicText.bytes(of: utf8).bytes)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  static func hex(_ digits: String) -> [UInt8] {
    let digits = digits.filter { $0 != " " }.map { UInt8($0.hexDigitValue ?? 0) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// The examples of docs/design/values.md, and what JSON has no words for.
  @Test(arguments: [
    ("F6", "null"), ("F4", "false"), ("17", "23"), ("19 01F4", "500"), ("20", "-1"),
    ("1B FFFFFFFFFFFFFFFF", "18446744073709551615"), ("3B FFFFFFFFFFFFFFFF", "-18446744073709551616"),
    ("C2 49 010000000000000000", "18446744073709551616"), ("C3 49 010000000000000000", "-18446744073709551617"),
    ("FB 3FF8000000000000", "1.5"), ("FB 3FF0000000000000", "1.0"), ("FB 8000000000000000", "-0.0"),
    ("FB 7E37E43C8800759C", "1e+300"), ("FB 7FF0000000000000", #"{"$float":"inf"}"#),
    ("FB 7FF8000000000000", #"{"$float":"nan"}"#), ("FB 7FF8000000000001", #"{"$float":"7ff8000000000001"}"#),
    ("63 68C3A9", #""hé""#), ("64 22 5C 0A 01", #""\"\\\n\u0001""#), ("42 00FF", #"{"$bytes":"AP8="}"#),
    ("82 01 61 61", #"[1,"a"]"#), ("80", "[]"), ("D9 4D54 82 01 02", #"{"$tuple":[1,2]}"#), ("A0", "{}"),
    ("A2 61 6E 01 61 78 F6", #"{"n":1,"x":null}"#), ("A1 01 02", #"{"$dict":[[1,2]]}"#),
    ("A1 66 2462797465 73 61 61", #"{"$dict":[["$bytes","a"]]}"#),
    ("A1 41 00 F6", #"{"$dict":[[{"$bytes":"AA=="},null]]}"#),
  ])
  func valuesHaveTheirText(bytes: String, text: String) throws {
    #expect(DynamicTextTests.text(DynamicTextTests.hex(bytes)) == text)
    #expect(try DynamicTextTests.bytes(text) == DynamicTextTests.hex(bytes))
  }

  @Test(arguments: [
    ("05", "null"), ("10 01", "true"), ("20 01 0000000000000102", "258"), ("20 00 FFFFFFFFFFFFFFFE", "-2"),
    ("20 01 FFFFFFFFFFFFFFFF", "18446744073709551615"), ("50 61 00FF 62 0001", #""a\u0000b""#),
    ("51 00FF 0001", #"{"$bytes":"AA=="}"#), ("60 20 01 0000000000000001 50 61 0001 00", #"[1,"a"]"#),
    ("60 60 00 00", "[[]]"), ("42", #"{"$raw":"Qg=="}"#), ("50 61", #"{"$raw":"UGE="}"#),
  ])
  func keysHaveTheirText(bytes: String, text: String) throws {
    #expect(DynamicTextTests.text(DynamicTextTests.hex(bytes), isKey: true) == text)
    #expect(try DynamicTextTests.bytes(text, isKey: true) == DynamicTextTests.hex(bytes))
  }

  @Test(arguments: [
    "", "tru", "01", "1.", "1e", "[1,]", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "\"", "\"\\x\"", "\"\\ud800\"", "1 2",
    "1e999", "{\"$bytes\":\"*\"}", "{\"$tuple\":1}", "{\"$dict\":[[[1],2]]}", "[{\"$raw\":\"AA==\"}]",
    "{\"$float\":1}", String(repeating: "[", count: 300),
  ])
  func whatIsNoValueIsSaid(text: String) {
    #expect(throws: DynamicText.Fault.self) { try DynamicTextTests.bytes(text) }
  }

  @Test func integersOfAnySize() throws {
    var random = SeededGenerator(3)
    for _ in 0..<200 {
      let count = Int.random(in: 1...120, using: &random)
      var digits = (0..<count).map { _ in UInt8.random(in: 0x30...0x39, using: &random) }
      if digits[0] == 0x30 { digits[0] = 0x31 }
      let text = (random.chance(50) ? "-" : "") + String(decoding: digits, as: UTF8.self)
      #expect(try DynamicTextTests.text(DynamicTextTests.bytes(text)) == text)
    }
  }

  /// Whatever the bytes are, there is a text, which stands for one value.
  @Test func anyBytesHaveAText() throws {
    var random = SeededGenerator(4)
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...24, using: &random)
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      for isKey in [false, true] {
        let text = DynamicTextTests.text(bytes, isKey: isKey)
        // A map that has a key twice is none that was written here.
        guard let again = try? DynamicTextTests.bytes(text, isKey: isKey) else { continue }
        #expect(DynamicTextTests.text(again, isKey: isKey) == text)
      }
    }
  }
}
