//! Whole shops for tests: TestApp, builders, contract suites, faults.
