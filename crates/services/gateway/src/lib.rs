//! The one door: routing, limits, authentication, security headers, the API document.
