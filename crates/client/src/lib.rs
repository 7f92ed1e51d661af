//! What workloads embed: get, hold, refresh and revoke short-lived credentials
