import Testing

@testable import Martlet

@Suite struct ArithmeticTests {
  @Test func divisionRoundsTowardsMinusInfinity() {
    for divisor: Int64 in [1, 2, 7, 1000, 1_000_000] {
      for value in Int64(-2100)...2100 {
        let quotient = floorDivide(value, divisor)
        #expect(quotient * divisor <= value && value < (quotient + 1) * divisor, "\(value) / \(divisor)")
      }
    }
    #expect(floorDivide(.min, 1) == .min)
    #expect(floorDivide(.min, 1000) == -9_223_372_036_854_776)
    #expect(floorDivide(.max, 1000) == 9_223_372_036_854_775)
  }

  /// Over all pairs of bytes, against wider arithmetic.
  @Test func saturates() {
    for a in Int8.min...Int8.max {
      for b in Int8.min...Int8.max {
        #expect(a.saturatingAdding(b) == Int8(clamping: Int(a) + Int(b)))
        #expect(a.saturatingSubtracting(b) == Int8(clamping: Int(a) - Int(b)))
      }
    }
  }
}
