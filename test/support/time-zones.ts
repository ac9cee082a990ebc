import { randomBytes } from 'node:crypto'
import type { Pool, ResultSetHeader, RowDataPacket } from 'mysql2/promise'
import type { ServerContext } from './every-server.js'

/** A pool that sends `statement` on each new connection. Throws what the server has against it. */
export async function poolOfSessions(context: ServerContext, statement: string): Promise<Pool> {
  const pool = context.pool()
  pool.pool.on('connection', (connection) => connection.query(statement, () => {}))
  await pool.query(statement)
  return pool
}

/** A time zone of the server that changes its offset from UTC, as for daylight saving. */
export interface ChangingZone {
  readonly name: string
  /** Resolves when the server's clock has passed the change. */
  changed(): Promise<void>
  /** Makes the server forget it. */
  drop(): Promise<void>
}

/** Adds a zone that changes within one to three seconds. Offsets are in seconds. */
export async function addChangingZone(context: ServerContext, before: number, after: number): Promise<ChangingZone> {
  const { admin } = context
  const name = `Test/${randomBytes(6).toString('hex')}`
  const changesAt = Math.ceil((await secondsOf(admin)) + 1.5)
  const [{ insertId: id }] = await admin.query<ResultSetHeader>(
    "insert into mysql.time_zone (use_leap_seconds) values ('N')",
  )
  await admin.query('insert into mysql.time_zone_name (name, time_zone_id) values (?, ?)', [name, id])
  await admin.query('insert into mysql.time_zone_transition_type values ?', [
    [
      [id, 0, before, before > after ? 1 : 0, ''],
      [id, 1, after, after > before ? 1 : 0, ''],
    ],
  ])
  await admin.query('insert into mysql.time_zone_transition values ?', [
    [
      [id, 0, 0],
      [id, changesAt, 1],
    ],
  ])
  return {
    name,
    async changed() {
      const remaining = changesAt - (await secondsOf(admin))
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, remaining * 1000 + 50)))
    },
    async drop() {
      for (const table of ['time_zone_name', 'time_zone_transition', 'time_zone_transition_type', 'time_zone']) {
        await admin.query(`delete from mysql.${table} where time_zone_id = ?`, [id])
      }
    },
  }
}

/** Seconds since 1970 by the database's clock. */
async function secondsOf(pool: Pool): Promise<number> {
  const [rows] = await pool.query<RowDataPacket[]>('select unix_timestamp(sysdate(6)) as now')
  return Number(rows[0]?.now)
}
