import { sql } from 'drizzle-orm'
import type { MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { CIRCUIT } from './airport-directory.js'
import { batches, dropTables, type ImportDatabase } from './tables.js'
import { batchKey, shardName } from './worker-protocol.js'

/** Removes what an earlier run has left, in the import's own tables and in the library's. */
export async function forgetEarlierRun(
  database: ImportDatabase,
  state: MySQLAdapter,
  idempotency: MySQLIdempotencyAdapter,
): Promise<void> {
  const [existing] = await database.execute(sql`show tables like 'demo_batches'`)
  const applied = (existing as unknown as unknown[]).length === 0 ? [] : await database.select().from(batches)
  await state.clear()
  await state.setState(CIRCUIT, { state: 'closed', failureCount: 0 })
  for (const shard of new Set(applied.map((entry) => entry.shard))) {
    await state.deleteAll(shardName(shard))
    await state.forceRelease(shardName(shard))
  }
  await Promise.all(applied.map(({ shard, batch }) => idempotency.delete(batchKey(shard, batch))))
  await dropTables(database)
}
