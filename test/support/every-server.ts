import { randomBytes } from 'node:crypto'
import { MySQLAdapter, type MySQLAdapterOptions } from 'goscope-mysql'
import { createPool, type Pool, type PoolOptions } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, describe, inject } from 'vitest'
import type { TestServer } from './global-setup.js'

/** A server, a fresh database on it, and what a suite opens there; all of it is closed and dropped at its end. */
export interface ServerContext {
  readonly server: TestServer
  /** The fresh database. */
  readonly database: string
  /** URL of the fresh database, for child processes. */
  readonly url: string
  /** An administrator's pool on the fresh database, to look at rows behind the library's back. */
  readonly admin: Pool
  /** A pool on the fresh database. */
  pool(options?: PoolOptions): Pool
  /** An adapter on a pool of its own, with its tables created. */
  adapter(options?: MySQLAdapterOptions, pool?: PoolOptions): Promise<MySQLAdapter>
}

/**
 * Defines one suite per server. The context is usable inside hooks and tests, not while the suite is being defined.
 * The database of a suite with a failed test is kept and named; connections left open fail the suite.
 */
export function onEveryServer(name: string, define: (context: ServerContext) => void): void {
  for (const server of inject('servers')) {
    describe(`${name} on ${server.name} (${server.version})`, () => {
      const database = `goscope_test_${randomBytes(6).toString('hex')}`
      const url = `${server.url}/${database}`
      const pools: Pool[] = []
      const adapters: MySQLAdapter[] = []
      let admin: Pool | undefined
      let failed = false

      const context: ServerContext = {
        server,
        database,
        url,
        get admin() {
          if (admin === undefined) throw new Error('the context is usable inside hooks and tests only')
          return admin
        },
        pool(options = {}) {
          const pool = createPool({ uri: url, ...options })
          pools.push(pool)
          return pool
        },
        async adapter(options, poolOptions) {
          const adapter = new MySQLAdapter(context.pool(poolOptions), options)
          adapters.push(adapter)
          await adapter.connect()
          return adapter
        },
      }

      beforeAll(async () => {
        const root = createPool({ uri: server.url })
        await root.query(`create database ${database}`)
        await root.end()
        admin = createPool({ uri: url })
      })

      beforeEach(({ onTestFailed }) => {
        onTestFailed(() => {
          failed = true
        })
      })

      afterAll(async () => {
        await Promise.all(adapters.map((adapter) => adapter.disconnect()))
        await Promise.all(pools.map((pool) => pool.end()))
        await admin?.end()
        const root = createPool({ uri: server.url })
        try {
          const left = await connectionsOf(root, database)
          if (failed) console.error(`kept the database ${database} on ${server.name}`)
          else await root.query(`drop database ${database}`)
          if (left > 0) throw new Error(`${left} connections were left open`)
        } finally {
          await root.end()
        }
      })

      define(context)
    })
  }
}

// A connection that was closed a moment ago may still be listed. MySQL cannot list connections at all at the moment when
// one of them sends certain characters.
async function connectionsOf(root: Pool, database: string): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      const [rows] = await root.query('select count(*) as open from information_schema.processlist where db = ?', [
        database,
      ])
      const open = Number((rows as { open: number }[])[0]?.open)
      if (open === 0 || attempt === 50) return open
    } catch (error) {
      if (attempt === 50) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
