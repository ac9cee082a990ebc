import { MySQLAdapter, MySQLCacheAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

// Nothing below may keep the process alive.
const url = childArgument<string>()
const adapters = [
  new MySQLAdapter(url),
  new MySQLCacheAdapter(url),
  new MySQLIdempotencyAdapter(createPool({ uri: url })),
]
process.send?.({ connected: adapters.map((adapter) => adapter.isConnected()) })
