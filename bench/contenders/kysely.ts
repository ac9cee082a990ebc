import { Kysely, MysqlDialect, type MysqlPool } from 'kysely'
import { createPool } from 'mysql2'

/** Kysely on a pool with this many connections. Destroying it ends the pool. */
export function openKysely(url: string, connectionLimit: number): Kysely<unknown> {
  // Its types are those of an older mysql2.
  const pool = createPool({ uri: url, connectionLimit }) as unknown as MysqlPool
  return new Kysely({ dialect: new MysqlDialect({ pool }) })
}
