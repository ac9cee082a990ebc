import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { count } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { openDatabase } from '../open-database.js'
import { CIRCUIT } from './airport-directory.js'
import { audit, computeInMemory, readOutcome } from './audit.js'
import { describeAudit } from './audit-report.js'
import { Crew, type Progress } from './crew.js'
import { openDashboard } from './dashboard.js'
import { type Plan, readLocations, readRoutes } from './dataset.js'
import { forgetEarlierRun } from './earlier-run.js'
import { startEnrichmentService } from './enrichment-service.js'
import { enrichRoutes } from './geography.js'
import { drawMisfortunes } from './misfortune.js'
import { createTables, type ImportDatabase, routes, shards } from './tables.js'

const help = `Imports real routes with several processes, kills some of them, and audits the result.

  --rows <n>         how many rows to import (default: all 5366)
  --workers <n>      processes at work at a time (4)
  --crashes <n>      how many are killed (7)
  --suspensions <n>  how many are suspended until their lock has expired (2)
  --seed <n>         decides who is killed when (drawn at random)
  --pause <ms>       pretended work per batch (60)

Uses the database in DATABASE_URL, or finds or starts a server.`

const KEY_PREFIX = 'airports:'
const LONGEST_RUN = 120_000
const GLANCE = 150

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '5366' },
    workers: { type: 'string', default: '4' },
    crashes: { type: 'string', default: '7' },
    suspensions: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Math.trunc(Math.random() * 1e6)) },
    pause: { type: 'string', default: '60' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(help)
  process.exit()
}

const interruption = new AbortController()
// Again and again: a terminal and the tool that started this process may both send it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort())

try {
  process.exitCode = (await run(interruption.signal)) ? 0 : 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
if (interruption.signal.aborted) process.exitCode = 130

/** Opens what the demo needs, and closes it whatever happens. Tells whether the audit was clean. */
async function run(interrupted: AbortSignal): Promise<boolean> {
  const { name, url, close } = await openDatabase('goscope_airports_demo', (line) => console.log(line))
  const pool = createPool({ uri: url })
  const state = new MySQLAdapter(pool, { keyPrefix: KEY_PREFIX })
  const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: KEY_PREFIX })
  const database = drizzle({ client: pool })
  try {
    await state.connect()
    // Two demos at a time in one database would import into each other's tables.
    return await state.locks.withLock('demo', { ttl: 5_000, wait: 10_000 }, async () => {
      await forgetEarlierRun(database, state, idempotency)
      const plan = { rows: wholeNumber('rows', 1), shards: 8, batchSize: 16 }
      await createTables(database, plan.shards)
      console.log(`${name}, seed ${values.seed}`)
      return await importAndAudit(plan, url, database, state, interrupted)
    })
  } finally {
    await idempotency.disconnect()
    await state.disconnect()
    await pool.end()
    await close()
  }
}

async function importAndAudit(
  plan: Plan,
  databaseUrl: string,
  database: ImportDatabase,
  state: MySQLAdapter,
  interrupted: AbortSignal,
): Promise<boolean> {
  const input = readRoutes(plan.rows)
  const locations = readLocations()
  const service = await startEnrichmentService(locations)
  const dashboard = openDashboard(process.stdout)
  const workers = wholeNumber('workers', 1)
  const pause = wholeNumber('pause', 0)
  const crew = new Crew(
    Array.from({ length: workers }, (_, worker) => ({ worker, databaseUrl, serviceUrl: service.url, plan, pause })),
    input.length,
    drawMisfortunes(wholeNumber('seed', 0), workers, wholeNumber('crashes', 0), wholeNumber('suspensions', 0)),
  )
  process.once('exit', () => crew.stop())

  const begin = performance.now()
  const look = async () => {
    const progress = await readProgress(database)
    const picture = {
      seconds: (performance.now() - begin) / 1000,
      rows: progress.rows,
      allRows: input.length,
      processes: crew.processes,
      counts: crew.counts,
      crashes: crew.crashes.length,
      circuit: (await state.getState(CIRCUIT))?.state ?? 'closed',
      service: service.mood,
    }
    return { progress, picture }
  }
  try {
    while (!crew.isFinished && !interrupted.aborted && performance.now() - begin < LONGEST_RUN) {
      const { progress, picture } = await look()
      crew.visit(progress)
      dashboard.show(picture)
      await sleep(GLANCE)
    }
    dashboard.end((await look()).picture)
  } finally {
    await crew.stop()
    await service.close()
  }
  if (interrupted.aborted) {
    console.log('Interrupted; all workers are stopped.')
    return false
  }
  const report = audit(computeInMemory(enrichRoutes(input, locations)), await readOutcome(database))
  console.log(describeAudit(report, crew))
  return report.isClean && crew.failures.length === 0
}

async function readProgress(database: ImportDatabase): Promise<Progress> {
  const [imported] = await database.select({ rows: count() }).from(routes)
  const written = await database.select().from(shards)
  return { rows: imported?.rows ?? 0, fences: new Map(written.map(({ shard, fence }) => [shard, fence])) }
}

function wholeNumber(option: Exclude<keyof typeof values, 'help'>, least: number): number {
  const value = Number(values[option])
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new Error(`--${option}: expected a whole number, ${least} or more, got ${values[option]}`)
}
