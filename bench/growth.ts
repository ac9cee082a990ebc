import { createPool, type Pool } from 'mysql2'
import { MySQLAdapter } from '../dist/index.js'
import type { Server } from '../test/support/servers/index.js'
import { expect, type Work } from './contenders/contender.js'
import { CHECKPOINTS_PER_TASK, productOf } from './contenders/load.js'
import { type Effort, measureInRounds } from './measure.js'
import type { OperationName } from './operations.js'
import { type Growth, spreadOf, throughputOf } from './results.js'
import { withDatabase } from './servers.js'

const SIZES = [10_000, 100_000, 1_000_000]

/** Measures what operations cost one caller as the tables grow, on keys from all over them. */
export async function measureGrowth(server: Server, effort: Effort, report: (line: string) => void): Promise<Growth[]> {
  return withDatabase(server, 'growth', async (url) => {
    const pool = createPool({ uri: url, connectionLimit: 1 })
    const state = new MySQLAdapter(pool, { timeout: 600_000 })
    await state.connect()
    const growth: Growth[] = []
    let before = 0
    for (const rows of SIZES) {
      report(`${server.name}: filling the tables with ${rows.toLocaleString('en')} rows each`)
      await fill(pool, before, rows)
      before = rows
      const slices = await measureInRounds(worksOver(state, rows), 1, effort)
      for (const [operation, own] of slices) {
        growth.push({ server: server.name, operation, rows, throughput: spreadOf(own.map(throughputOf), 0) })
      }
    }
    await state.disconnect()
    await pool.promise().end()
    return growth
  })
}

function worksOver(state: MySQLAdapter, rows: number): { name: OperationName; work: Work }[] {
  // A prime that divides no size: all rows come before one comes again, and neighbours come far apart.
  const rowOf = (turn: number) => (turn * 999_983) % rows
  const run = (name: OperationName, work: (row: number) => Promise<unknown>) => ({
    name,
    work: { run: (turn: number) => work(rowOf(turn)) },
  })
  return [
    run('acquire', async (row) => expect((await state.acquire(`row-${row}`, 1)) !== null, 'the lock')),
    run('get', async (row) => expect((await state.get(`row-${row}`)) !== null, 'the value')),
    run('set', (row) => state.set(`row-${row}`, productOf(`row-${row}`))),
    run('loadLatest', async (row) => {
      const latest = await state.loadLatest(`row-${Math.floor(row / CHECKPOINTS_PER_TASK)}`)
      expect(latest?.sequence === CHECKPOINTS_PER_TASK - 1, 'the latest checkpoint')
    }),
  ]
}

async function fill(pool: Pool, from: number, to: number): Promise<void> {
  const value = JSON.stringify(productOf('row'))
  const digit =
    '(select 0 as d union select 1 union select 2 union select 3 union select 4 union select 5 union select 6 union select 7 union select 8 union select 9)'
  const powers = [1, 10, 100, 1_000, 10_000, 100_000]
  const n = powers.map((power, index) => `${power} * d${index}.d`).join(' + ')
  const numbers = `(select ${n} as n from ${powers.map((_, index) => `${digit} as d${index}`).join(' cross join ')}) as numbers`
  const rows = `from ${numbers} where n >= ${from} and n < ${to} order by n`
  const send = (sql: string, values: unknown[] = []) => pool.promise().query(sql, values)
  await send(
    `insert into go_goscope_locks (fence, \`key\`, expires_at) select 1, concat('lock:row-', n), utc_timestamp(3) ${rows}`,
  )
  await send(`insert into go_goscope_cache (\`key\`, value) select concat('cache:row-', n), ? ${rows}`, [value])
  await send(
    `insert into go_goscope_checkpoints (id, task_id, sequence, timestamp, progress, data, created_at)
    select concat('checkpoint:row-', n), concat('task:row-', n div ${CHECKPOINTS_PER_TASK}),
      n mod ${CHECKPOINTS_PER_TASK}, 0, 0, ?, utc_timestamp(3) ${rows}`,
    [value],
  )
}
