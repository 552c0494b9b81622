import Testing

@testable import Martlet

@Suite struct WatermarkTests {
  @Test func nothingSeen() { #expect(WatermarkTracker(bound: 10).watermark == EventTime.min) }

  static let cases: [(bound: Int64, timestamps: [Int64], watermark: Int64)] = [
    (10, [1337], 1326),
    (10, [12345, 12300, 12340, 12280], 12334),
    (10, [723_456, 723_456, 723_456], 723_445),
    (0, [100], 99),
    (0, [.min], .min),
    (.max, [0], .min),
    (.max, [.max], -1),
    (0, [.max], .max - 1),
    (5, [.min + 3], .min),
  ]

  @Test(arguments: cases)
  func greatestTimestampLessBoundLessOne(_ example: (bound: Int64, timestamps: [Int64], watermark: Int64)) {
    var tracker = WatermarkTracker(bound: example.bound)
    for timestamp in example.timestamps { _ = tracker.observe(timestamp) }
    #expect(tracker.watermark == example.watermark)
  }

  /// Only a step forward is announced.
  @Test func announcesAdvances() {
    var tracker = WatermarkTracker(bound: 2)
    #expect([10, 10, 9, 12, 11, 13].map { tracker.observe($0) } == [7, nil, nil, 9, nil, 10])
  }
}
