import { is } from 'drizzle-orm'
import { MySqlDatabase } from 'drizzle-orm/mysql-core'
import { createPool, type Pool } from 'mysql2'
import type { Pool as PromisePool } from 'mysql2/promise'
import { InvalidArgumentError } from '../errors.js'

/** A Drizzle database over a mysql2 pool. */
export interface DrizzleDatabase {
  readonly $client: PromisePool | Pool
}

/** Where the state is kept: a pool of mysql2 (promise or callback), a Drizzle database over one, or a URL. */
export type Database = PromisePool | Pool | DrizzleDatabase | string

/** A pool, and whether it was opened here. */
export interface OpenedPool {
  readonly pool: Pool
  readonly isOwn: boolean
}

/**
 * Finds the callback pool behind whatever a service has at hand. Does no I/O.
 *
 * @throws {@link InvalidArgumentError}
 */
export function openPool(database: Database): OpenedPool {
  if (typeof database === 'string') {
    // Not shown, because it may hold a password.
    if (!isUrl(database))
      throw new InvalidArgumentError('database: expected a URL such as mysql://user:password@host:3306/database')
    return { pool: createPool({ uri: database }), isOwn: true }
  }
  const client: unknown = is(database, MySqlDatabase) ? (database as unknown as DrizzleDatabase).$client : database
  // The promise pool wraps a callback pool.
  const pool = isObject(client) && 'pool' in client ? client.pool : client
  if (isPool(pool)) return { pool, isOwn: false }
  throw new InvalidArgumentError(
    'database: expected a mysql2 pool, a Drizzle database over a pool, or a URL; a single connection cannot be shared',
  )
}

function isUrl(text: string): boolean {
  return URL.canParse(text) && ['mysql:', 'mariadb:'].includes(new URL(text).protocol)
}

function isPool(candidate: unknown): candidate is Pool {
  return isObject(candidate) && typeof candidate.getConnection === 'function' && typeof candidate.promise === 'function'
}

function isObject(candidate: unknown): candidate is Record<string, unknown> {
  return typeof candidate === 'object' && candidate !== null
}
