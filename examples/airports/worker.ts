import { setTimeout as sleep } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/mysql2'
import { type LockHandle, MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { AirportDirectory } from './airport-directory.js'
import { applyBatch } from './apply-batch.js'
import { batchesOf, type Route, readRoutes } from './dataset.js'
import { type EnrichedRoute, enrichRoutes, type Location } from './geography.js'
import { Heartbeat } from './heartbeat.js'
import { type Assignment, batchKey, type Order, shardName, type WorkerStatus } from './worker-protocol.js'

/**
 * One worker process. It may be killed after any of its statements; another one goes on where it stopped.
 *
 * What makes every row count exactly once is the transaction in `applyBatch`, and nothing else: it holds the effects,
 * the entry that a batch was applied, and the comparison of fencing tokens, and commits all of them or none.
 * Everything kept outside of it is written *after* the commit, so it may lag behind the truth but never run ahead:
 *
 * - a checkpoint that was not saved makes the successor begin one batch early;
 * - the idempotency record then spares it the look-ups and the transaction;
 * - if the worker was killed before that was written too, the table of applied batches says so;
 * - the lock only keeps workers from doing the same work at once. One that was suspended while its lock expired does
 *   not know it, and is refused by its token.
 */
const LOCK_TTL = 1_500
/** Shards are given back after so many batches, so that those of killed workers are not left for the end. */
const BATCHES_PER_TURN = 5
const CHECKPOINTS_KEPT = 3
const RECORD_TTL = 600_000

const { worker, databaseUrl, serviceUrl, plan, pause } = JSON.parse(process.argv[2] as string) as Assignment
const keyPrefix = 'airports:'
const pool = createPool({ uri: databaseUrl, connectionLimit: 4 })
const database = drizzle({ client: pool })
const state = new MySQLAdapter(pool, { keyPrefix })
const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix })
const directory = new AirportDirectory(state, serviceUrl)
const routes = readRoutes(plan.rows)
const name = `worker-${worker}-${process.pid}`

const status: WorkerStatus = {
  step: 'starting',
  held: null,
  batchesLeft: 0,
  rowsApplied: 0,
  repeatedByRecord: 0,
  repeatedByTable: 0,
  refused: 0,
  cacheHits: 0,
  cacheMisses: 0,
}
let order: Order | undefined

process.on('message', (message) => {
  order = message as Order
})
// Ctrl-C reaches the whole group of processes; it is the supervisor's business.
process.on('SIGINT', () => {})
// Without a supervisor there is nobody left to work for.
process.on('disconnect', () => process.exit())

await importShards()
await state.disconnect()
await idempotency.disconnect()
await pool.end()
process.disconnect()

/** Takes turns on shards that nobody else holds, until all are done. */
async function importShards(): Promise<void> {
  const unfinished = new Set(Array.from({ length: plan.shards }, (_, shard) => (shard + worker) % plan.shards))
  while (unfinished.size > 0) {
    for (const shard of unfinished) {
      const lock = await state.acquire(shardName(shard), LOCK_TTL, name)
      if (lock === null) continue
      status.held = { shard, fence: lock.fence }
      tell('took a shard')
      if (await takeTurn(shard, lock)) unfinished.delete(shard)
      await lock.release()
      status.held = null
      tell('gave back')
    }
    tell('looking for a shard')
    await sleep(100)
  }
}

/** Imports some batches, beginning after the latest checkpoint. Tells whether the shard is done. */
async function takeTurn(shard: number, lock: LockHandle): Promise<boolean> {
  using heartbeat = new Heartbeat(lock, LOCK_TTL)
  const batches = batchesOf(shard, routes, plan)
  try {
    const checkpoint = await state.loadLatest(shardName(shard))
    const first = checkpoint === undefined ? 0 : checkpoint.sequence + 1
    const end = Math.min(first + BATCHES_PER_TURN, batches.length)
    status.batchesLeft = batches.length - first
    tell('resumed')
    for (let batch = first; batch < end; batch++) {
      const isImported = await importBatch(shard, batch, batches[batch] ?? [], lock.fence, heartbeat.lost)
      if (!isImported) return false
      await saveProgress(shard, batch, batches.length)
      status.batchesLeft--
    }
    return end === batches.length
  } catch (error) {
    if (heartbeat.lost.aborted) return false
    throw error
  }
}

/** `false` when somebody with a newer token has written to the shard. */
async function importBatch(
  shard: number,
  batch: number,
  rows: readonly Route[],
  fence: number,
  lost: AbortSignal,
): Promise<boolean> {
  const key = batchKey(shard, batch)
  if ((await idempotency.get(key)) !== null) {
    status.repeatedByRecord++
    return true
  }
  const enriched = await enrich(rows, lost)
  await sleep(pause)
  lost.throwIfAborted()
  // Between this check and the write the process may be suspended for any length of time.
  tell('looked up')
  const outcome = await applyBatch(database, { shard, batch, fence }, enriched, () => tell('wrote'))
  if (outcome === 'refused') {
    status.refused++
    return false
  }
  if (outcome === 'applied') status.rowsApplied += rows.length
  else status.repeatedByTable++
  tell('committed')
  await idempotency.set(key, { rows: rows.length, by: name }, RECORD_TTL)
  tell('recorded')
  return true
}

async function enrich(rows: readonly Route[], lost: AbortSignal): Promise<EnrichedRoute[]> {
  const locations = new Map<string, Location>()
  for (const iata of new Set(rows.flatMap(({ origin, destination }) => [origin, destination]))) {
    locations.set(iata, await directory.find(iata, lost))
  }
  status.cacheHits = directory.hits
  status.cacheMisses = directory.misses
  return enrichRoutes(rows, locations)
}

async function saveProgress(shard: number, batch: number, batches: number): Promise<void> {
  await state.save({
    id: batchKey(shard, batch),
    taskId: shardName(shard),
    sequence: batch,
    timestamp: Date.now(),
    progress: ((batch + 1) / batches) * 100,
    data: { by: name },
  })
  tell('checkpointed')
  await state.cleanup(shardName(shard), CHECKPOINTS_KEPT)
  tell('cleaned up')
}

/** Tells the supervisor what was done, and obeys its order to be killed or suspended at this very place. */
function tell(step: WorkerStatus['step']): void {
  status.step = step
  // Without a supervisor to hear it this process is about to end anyway.
  process.send?.(status, () => {})
  if (order === undefined || order.after !== step) return
  const { signal } = order
  order = undefined
  process.kill(process.pid, signal)
}
