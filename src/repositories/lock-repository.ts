import { and, eq, gt, type SQL, sql } from 'drizzle-orm'
import { after, now, nowMicroseconds } from '../database/clock.js'
import { decision } from '../database/dialect.js'
import { command, type Executor, statement } from '../database/statement.js'
import { locks } from '../schema/index.js'

/** What {@link LockRepository.takeIfFree} decided; `remaining` is the time the holder has left. */
export type Taking =
  | { readonly granted: true; readonly fence: number }
  | { readonly granted: false; readonly remaining: number }

/** Names one tenure of a lock. */
export interface Tenure {
  readonly key: string
  readonly owner: string
  readonly fence: number
}

// Tokens count microseconds since 1970 and are larger than this since 2001; remaining times are smaller.
const LEAST_FENCE = 1e15

const { key, owner, fence, acquiredAt, expiresAt } = locks
const given = {
  key: sql.placeholder('key'),
  owner: sql.placeholder('owner'),
  fence: sql.placeholder('fence'),
  ttl: sql.placeholder('ttl'),
}
const isLive = gt(expiresAt, now)
const isOfOwner = and(eq(key, given.key), eq(owner, given.owner))
const isTenure = and(isOfOwner, eq(fence, given.fence))

const isFree = sql`(${owner} is null or ${expiresAt} <= ${now})`
const isGranted = sql`last_insert_id() >= ${sql.raw(String(LEAST_FENCE))}`
// The bounds keep a lock that is held for decades, or expires this instant, from looking granted or undecided.
const remaining = sql`least(greatest(timestampdiff(microsecond, ${now}, ${expiresAt}), 1), ${sql.raw(String(LEAST_FENCE - 1))})`

/**
 * One upsert is a transaction that holds the row's exclusive lock from its check to its write, so no two callers
 * can both find the lock free; it needs no row to exist, and therefore no gap lock that could deadlock.
 *
 * The first assignment decides, and leaves its verdict in LAST_INSERT_ID(), which the later ones read instead of
 * columns already assigned and the driver reports as `insertId`:
 * - at least 10^15: granted, and this is the token. Free or expired: a new one, larger than the row's last and than
 *   any the clock gave before, so it also grows when the row was deleted meanwhile. Still the same owner's: the old one.
 * - 1 to 10^15: refused; the holder has this many microseconds left.
 * - 0: a trigger on the table hid the verdict.
 *
 * The clock is read after the wait for the row's lock.
 */
const take = command(
  decision(
    'insert',
    sql`into ${locks} (fence, \`key\`, owner, acquired_at, expires_at)
      values (last_insert_id(${nowMicroseconds}), ${given.key}, ${given.owner}, ${now}, ${after(given.ttl)})
      on duplicate key update
        fence = case
          when ${isFree} then last_insert_id(greatest(${fence} + 1, ${nowMicroseconds}))
          when ${owner} = ${given.owner} then last_insert_id(${fence})
          else ${fence} + 0 * last_insert_id(${remaining})
        end,
        acquired_at = if(${isGranted}, '1970-01-01' + interval last_insert_id() microsecond, ${acquiredAt}),
        expires_at = if(${isGranted}, ${after(given.ttl)}, ${expiresAt}),
        owner = if(${isGranted}, ${given.owner}, ${owner})`,
  ),
)

/** The answer is `insertId`, the tenure's token or 0; what `affectedRows` counts depends on the pool's flags. */
const prolongWhere = (condition: SQL | undefined) =>
  command(
    decision(
      'update',
      sql`${locks} set fence = last_insert_id(${fence}), expires_at = ${after(given.ttl)}
        where ${and(condition, isLive)}`,
    ),
  )
const prolongOwner = prolongWhere(isOfOwner)
const prolongTenure = prolongWhere(isTenure)

const findOfOwner = statement((database) =>
  database.select({ fence }).from(locks).where(and(isOfOwner, isLive)).prepare(),
)
const findTenure = statement((database) =>
  database.select({ fence }).from(locks).where(and(isTenure, isLive)).prepare(),
)

/** Keeps the row: the token must go on growing, and deleting rows brings deadlocks back. */
const freeWhere = (condition: SQL | undefined) =>
  statement((database) => database.update(locks).set({ owner: sql`null`, expiresAt: now }).where(condition).prepare())
const freeTenure = freeWhere(isTenure)
const freeAny = freeWhere(eq(key, given.key))

/** The rows of `go_goscope_locks`. Keys and owners come in their stored form; durations are milliseconds. */
export class LockRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** Takes the lock for `ttl` if its row is absent, freed, expired or the same owner's. */
  async takeIfFree(key: string, owner: string, ttl: number): Promise<Taking> {
    const { insertId } = await take(this.#executor, { key, owner, ttl })
    if (insertId >= LEAST_FENCE) return { granted: true, fence: insertId }
    if (insertId > 0) return { granted: false, remaining: insertId / 1000 }
    const [row] = await findOfOwner(this.#executor, { key, owner })
    return row === undefined ? { granted: false, remaining: 0 } : { granted: true, fence: row.fence }
  }

  /** Lets the owner's live tenure expire `ttl` from now. `false` when there is none. */
  async prolongOwner(key: string, owner: string, ttl: number): Promise<boolean> {
    const { insertId } = await prolongOwner(this.#executor, { key, owner, ttl })
    return insertId > 0
  }

  /** Lets this tenure expire `ttl` from now. `false` when it is over. */
  async prolongTenure(tenure: Tenure, ttl: number): Promise<boolean> {
    const { insertId } = await prolongTenure(this.#executor, { ...tenure, ttl })
    return insertId > 0
  }

  /** Whether this tenure is live. Reads without waiting for anybody. */
  async isLive(tenure: Tenure): Promise<boolean> {
    const rows = await findTenure(this.#executor, { ...tenure })
    return rows.length > 0
  }

  /** Ends this tenure; touches no other. */
  async freeTenure(tenure: Tenure): Promise<void> {
    await freeTenure(this.#executor, { ...tenure })
  }

  /** Ends whatever tenure there is. */
  async freeAny(key: string): Promise<void> {
    await freeAny(this.#executor, { key })
  }
}
