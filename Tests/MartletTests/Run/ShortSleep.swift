#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Half a millisecond: for loops that wait for another thread, and never to guess how long something takes.
func shortSleep() { usleep(500) }
