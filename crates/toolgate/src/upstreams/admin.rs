//! The admin API's upstreams: what the edge asks for, over `Federation`.
