import { and, DrizzleQueryError, eq, lte, sql } from 'drizzle-orm'
import { airportTotals, type EnrichedRoute } from './geography.js'
import { airports, batches, type ImportDatabase, routes, shards } from './tables.js'

/** What became of a batch: now written, written earlier, or refused because the lock belongs to somebody newer. */
export type Application = 'applied' | 'applied earlier' | 'refused'

/** What names a batch, and the fencing token of the worker that wants to write it. */
export interface BatchName {
  readonly shard: number
  readonly batch: number
  readonly fence: number
}

/**
 * Writes a batch in one transaction, once.
 *
 * 1. The shard's row refuses a token older than the newest that has written, and stays locked until the end,
 *    so of two workers that both believe to hold the shard the older one is turned away, however late it comes.
 * 2. The batch's row can be entered once; a batch that was committed by a worker killed right afterwards is found here.
 * 3. Only then come the effects. All of it is committed, or none.
 *
 * @param beforeCommit - Called when everything is written and nothing is committed.
 */
export async function applyBatch(
  database: ImportDatabase,
  { shard, batch, fence }: BatchName,
  rows: readonly EnrichedRoute[],
  beforeCommit: () => void,
): Promise<Application> {
  for (;;) {
    try {
      return await database.transaction(
        async (transaction) => {
          // Every attempt changes the row, so the count of changed rows tells whether the token was accepted.
          const [{ affectedRows }] = await transaction
            .update(shards)
            .set({ fence, attempts: sql`${shards.attempts} + 1` })
            .where(and(eq(shards.shard, shard), lte(shards.fence, fence)))
          if (affectedRows === 0) return 'refused'
          const earlier = await transaction
            .select()
            .from(batches)
            .where(and(eq(batches.shard, shard), eq(batches.batch, batch)))
          if (earlier.length > 0) return 'applied earlier'
          await transaction.insert(batches).values({ shard, batch, fence })
          await writeRows(transaction, rows)
          beforeCommit()
          return 'applied'
        },
        { isolationLevel: 'read committed' },
      )
    } catch (error) {
      if (!isDeadlock(error)) throw error
    }
  }
}

async function writeRows(transaction: ImportDatabase, rows: readonly EnrichedRoute[]): Promise<void> {
  await transaction.insert(routes).values([...rows])
  await transaction
    .insert(airports)
    .values(airportTotals(rows))
    .onDuplicateKeyUpdate({
      set: {
        departures: sql`${airports.departures} + values(${airports.departures})`,
        arrivals: sql`${airports.arrivals} + values(${airports.arrivals})`,
      },
    })
}

// 1213 deadlock, 1205 lock wait timeout: the server has undone the transaction, and it may be run again.
function isDeadlock(error: unknown): boolean {
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  return cause instanceof Error && 'errno' in cause && (cause.errno === 1213 || cause.errno === 1205)
}
