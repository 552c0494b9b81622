extension Schema {
  private static let mark: [UInt8] = {
    // One pair, as the C data interface writes metadata: the number of pairs, then lengths and bytes.
    var bytes: [UInt8] = []
    func append(_ number: Int32) { withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) } }
    append(1)
    for text in ["martlet:schema", "keys only"] {
      append(Int32(text.utf8.count))
      bytes += Array(text.utf8)
    }
    return bytes
  }()

  /// The key columns of an input of which nothing else is known yet: state that was written from tables has keys before the first
  /// record. The first batch tells the rest.
  static func keysOnly(_ fields: [Field]) -> Schema { Schema(fields, metadata: mark) }

  var isKeysOnly: Bool { metadata == Schema.mark }
}
