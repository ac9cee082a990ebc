import type { LockHandle } from 'goscope-mysql'
import type { ServerContext } from './every-server.js'

/** The handle of a lock that has to be granted. */
export async function taken(acquiring: Promise<LockHandle | null>): Promise<LockHandle> {
  const lock = await acquiring
  if (lock === null) throw new Error('expected the lock to be granted')
  return lock
}

/** The stored row of a lock of an adapter without a prefix. */
export async function lockRow(context: ServerContext, key: string): Promise<Record<string, unknown>> {
  const [rows] = await context.admin.query({
    sql: 'select * from go_goscope_locks where `key` = ?',
    values: [`lock:${key}`],
    dateStrings: true,
  })
  const [row] = rows as Record<string, unknown>[]
  if (row === undefined) throw new Error(`expected a row of ${key}`)
  return row
}

/** When the tenure of a lock began and when it ends, and the database's clock: microseconds since 1970. */
export interface LockTimes {
  readonly acquiredAt: number
  readonly expiresAt: number
  readonly now: number
}

/** Reads the times of a lock of an adapter without a prefix. */
export async function lockTimes(context: ServerContext, key: string): Promise<LockTimes> {
  const [rows] = await context.admin.query(
    `select timestampdiff(microsecond, '1970-01-01', acquired_at) as acquiredAt,
      timestampdiff(microsecond, '1970-01-01', expires_at) as expiresAt,
      timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) as now
    from go_goscope_locks where \`key\` = ?`,
    [`lock:${key}`],
  )
  const [row] = rows as LockTimes[]
  if (row === undefined) throw new Error(`expected a row of ${key}`)
  return row
}
