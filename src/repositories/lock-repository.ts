import { and, asc, eq, gt, isNotNull, lte, type SQL, sql } from 'drizzle-orm'
import { after, now, nowMicroseconds, toMilliseconds } from '../database/clock.js'
import { decision, lockingRead } from '../database/dialect.js'
import { atMost, command, type Executor, listStatement, query, statement } from '../database/statement.js'
import type { KeyRange } from '../keys.js'
import { locks } from '../schema/index.js'
import { type Page, pageOf } from './page.js'

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

/** A live tenure. Times are milliseconds since 1970. */
export interface HeldLockRow extends Tenure {
  /** `null` when the tenure was granted by an older library. */
  readonly acquiredAt: number | null
  readonly expiresAt: number
  /** Milliseconds until it expires. */
  readonly remaining: number
}

const ROWS_PER_PAGE = 1_000

// Tokens count microseconds since 1970 and are larger than this since 2001; remaining times are smaller.
const LEAST_FENCE = 1e15

const { key, owner, fence, acquiredAt, expiresAt } = locks
const given = {
  key: sql.placeholder('key'),
  owner: sql.placeholder('owner'),
  fence: sql.placeholder('fence'),
  ttl: sql.placeholder('ttl'),
  from: sql.placeholder('from'),
  to: sql.placeholder('to'),
  retention: sql.placeholder('retention'),
  seenFence: sql.placeholder('seenFence'),
}
const isLive = gt(expiresAt, now)
const isOfOwner = sql`${eq(key, given.key)} and ${eq(owner, given.owner)}`
const isTenure = sql`${isOfOwner} and ${eq(fence, given.fence)}`

/** For other tables' writes under a lock; the token's placeholder is `heldFence`. */
export const isHeldBy: SQL = sql`${isOfOwner} and ${fence} = ${sql.placeholder('heldFence')} and ${isLive}`

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
 */
const takeWhen = (mayTake: SQL) =>
  command(
    decision.upsert(
      locks,
      sql`fence, \`key\`, owner, acquired_at, expires_at`,
      sql`last_insert_id(${nowMicroseconds}), ${given.key}, ${given.owner}, ${now}, ${after(given.ttl)}`,
      key,
      given.key,
      sql`
      fence = case
        when ${mayTake} then last_insert_id(greatest(${fence} + 1, ${nowMicroseconds}))
        when ${owner} = ${given.owner} then last_insert_id(${fence})
        else ${fence} + 0 * last_insert_id(${remaining})
      end,
      acquired_at = if(${isGranted}, '1970-01-01' + interval last_insert_id() microsecond, ${acquiredAt}),
      expires_at = if(${isGranted}, ${after(given.ttl)}, ${expiresAt}),
      owner = if(${isGranted}, ${given.owner}, ${owner})`,
    ),
  )

const take = takeWhen(isFree)
const takeUnchanged = takeWhen(sql`(${isFree} and ${fence} = ${given.seenFence})`)

/**
 * Changes the one row that fits. The answer is `insertId`, the row's token or 0 when none fits:
 * what `affectedRows` counts depends on the pool's flags.
 */
const changeWhere = (condition: SQL, assignments: SQL, check: SQL = sql`true`) =>
  command(decision.update(locks, key, condition, sql`${fence} = last_insert_id(${fence}), ${assignments}`, check))

const prolongation = sql`${expiresAt} = ${after(given.ttl)}`
const prolongOwner = changeWhere(isOfOwner, prolongation, isLive)
const prolongTenure = changeWhere(isTenure, prolongation, isLive)

/** Keeps the row: the token must go on growing, and deleting rows brings deadlocks back. */
const release = sql`${owner} = null, ${expiresAt} = ${now}`
const freeTenure = changeWhere(isTenure, release)
const freeAny = changeWhere(eq(key, given.key), release)

/**
 * Holds the row until the caller's transaction ends; meanwhile every other write of it fails at once.
 * Reads the row's latest version at every isolation level.
 */
const guard = query<{ fence: string }>(lockingRead(sql`${fence} from ${locks} where ${isTenure} and ${isLive}`))

const details = {
  key,
  owner,
  fence,
  acquiredAt: toMilliseconds(acquiredAt),
  expiresAt: toMilliseconds(expiresAt),
  remaining: sql<number>`timestampdiff(microsecond, ${now}, ${expiresAt}) / 1000`.mapWith(Number),
}
const isHeld = and(isNotNull(owner), isLive)

const find = statement((database) =>
  database
    .select(details)
    .from(locks)
    .where(and(eq(key, given.key), isHeld))
    .prepare(),
)

/** Keyset pages over the primary key. */
const list = statement((database) =>
  database
    .select(details)
    .from(locks)
    .where(and(gt(key, given.from), lte(key, given.to), isHeld))
    .orderBy(asc(key))
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

const isOld = sql`${expiresAt} < ${now} - interval ${given.retention} * 1000 microsecond`

/** There is no index on the expiry, which would slow every acquire down; the primary key is walked instead. */
const nextPage = statement((database) =>
  database
    .select({ key, isOld: sql<number>`${isOld}`.mapWith(Number) })
    .from(locks)
    .where(gt(key, given.from))
    .orderBy(asc(key))
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

/** Passes over rows that are in use: on MySQL one by one, on MariaDB, where 10.5 cannot, the whole list. */
const removeOld = listStatement((keys) => decision.remove(locks, key, sql`${key} in ${keys} and ${isOld}`))

const findOfOwner = statement((database) =>
  database.select({ fence }).from(locks).where(and(isOfOwner, isLive)).prepare(),
)
const findTenure = statement((database) =>
  database.select({ fence }).from(locks).where(and(isTenure, isLive)).prepare(),
)

/** The rows of `go_goscope_locks`. Keys and owners come in their stored form; durations are milliseconds. */
export class LockRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /**
   * Takes the lock for `ttl` if its row is absent, freed, expired or the same owner's.
   *
   * @param seenFence - Only if there was no tenure since this one.
   */
  async takeIfFree(key: string, owner: string, ttl: number, seenFence?: number): Promise<Taking> {
    const { insertId } = await (seenFence === undefined
      ? take(this.#executor, { key, owner, ttl })
      : takeUnchanged(this.#executor, { key, owner, ttl, seenFence }))
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

  /** Whether this tenure is live; if so, holds its row until the transaction of `executor` ends. */
  async guard(executor: Executor, tenure: Tenure): Promise<boolean> {
    const rows = await guard(executor, { ...tenure })
    return rows.length > 0
  }

  /** The live tenure of this key, or `undefined`. Reads without waiting for anybody. */
  async find(key: string): Promise<HeldLockRow | undefined> {
    const [row] = await find(this.#executor, { key })
    return row as HeldLockRow | undefined
  }

  /** The live tenures of a range of keys, in the order of the primary key. */
  async list(range: KeyRange, from = range.from): Promise<Page<HeldLockRow, string>> {
    const rows = (await list(this.#executor, { to: range.to, from })) as HeldLockRow[]
    return pageOf(rows, ROWS_PER_PAGE, ({ key }) => key)
  }

  /**
   * Deletes the rows of one page that expired longer than `retention` ago.
   *
   * @param from - The key to begin after.
   * @returns The last key of the page, or `undefined` at the end of the table.
   */
  async removeOldOfPage(from: string, retention: number): Promise<string | undefined> {
    const rows = await nextPage(this.#executor, { from, retention })
    const old = rows.filter((row) => row.isOld === 1).map((row) => row.key)
    if (old.length > 0) await removeOld(this.#executor, old, { retention })
    return rows.length < ROWS_PER_PAGE ? undefined : rows.at(-1)?.key
  }
}
