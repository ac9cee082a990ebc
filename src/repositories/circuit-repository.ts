import { and, asc, eq, gt, lte, or, sql } from 'drizzle-orm'
import type { CircuitState } from '../contracts.js'
import { fromMilliseconds, now, toMilliseconds } from '../database/clock.js'
import { atMost, command, type Executor, listQuery, statement } from '../database/statement.js'
import type { KeyRange } from '../keys.js'
import { circuit } from '../schema/index.js'
import { failureDetails } from './circuit-details.js'
import { type Page, pageOf } from './page.js'

/** A stored circuit breaker. Times are milliseconds since 1970. */
export interface CircuitRow {
  readonly state: CircuitState
  readonly failureCount: number
  readonly lastFailureTime: number | null
  readonly lastSuccessTime: number | null
}

/** A circuit breaker for people who look. */
export interface ListedCircuitRow extends CircuitRow {
  readonly key: string
  readonly openedAt: number | null
  readonly isolatedAt: number | null
  readonly attempt: number
  readonly details: string | null
}

const ROWS_PER_PAGE = 1_000

const { key, state, failureCount, lastFailureTime, lastSuccessTime, openedAt, isolatedAt, attempt } = circuit
const { version, reports, details } = circuit
const given = {
  key: sql.placeholder('key'),
  state: sql.placeholder('state'),
  failureCount: sql.placeholder('failureCount'),
  lastFailureTime: sql.placeholder('lastFailureTime'),
  lastSuccessTime: sql.placeholder('lastSuccessTime'),
  maximum: sql.placeholder('maximum'),
  instance: sql.placeholder('instance'),
  reason: sql.placeholder('reason'),
  from: sql.placeholder('from'),
  to: sql.placeholder('to'),
}

const { failure, withFailure } = failureDetails(given.instance, given.reason)
// IF rather than OR and AND: MariaDB 10.5 takes LAST_INSERT_ID() for a constant there and reads it too early.
const opens = sql`if(${state} = 'half-open', 1, last_insert_id() >= ${given.maximum})`

/**
 * One upsert counts, decides and reports: the count is assigned first and left in LAST_INSERT_ID(), which the other
 * assignments read, so concurrent callers get distinct counts and exactly one of them sees the threshold.
 * `state` comes last because the others read the old one. `opened_at` is set by the opening failure only.
 */
const addFailure = command(sql`
insert into ${circuit}
  (failure_count, \`key\`, state, last_failure_time, opened_at, attempt, version, details, updated_at)
values (
  last_insert_id(1), ${given.key}, if(1 >= ${given.maximum}, 'open', 'closed'), ${now},
  if(1 >= ${given.maximum}, ${now}, null), 0, if(1 >= ${given.maximum}, 1, 0), json_array(${failure}), ${now})
on duplicate key update
  failure_count = last_insert_id(${failureCount} + 1),
  last_failure_time = ${now},
  opened_at = if(${state} = 'open', ${openedAt}, if(${opens}, ${now}, null)),
  attempt = coalesce(${attempt}, 0) + (${state} = 'half-open'),
  version = coalesce(${version}, 0) + if(${state} = 'open', 0, ${opens}),
  successes = null,
  reports = if(${opens}, null, ${reports}),
  details = ${withFailure},
  updated_at = ${now},
  state = if(${opens}, 'open', ${state})`)

/** Writes nothing while the circuit is closed and clean. An open circuit ignores the late success of an old call. */
const addSuccess = command(sql`
update ${circuit} set
  failure_count = 0,
  last_success_time = ${now},
  opened_at = null,
  attempt = 0,
  version = coalesce(${version}, 0) + (${state} = 'half-open'),
  successes = null,
  reports = null,
  updated_at = ${now},
  state = 'closed'
where ${and(eq(key, given.key), or(eq(state, 'half-open'), and(eq(state, 'closed'), gt(failureCount, sql`0`))))}`)

const stored = {
  state,
  failureCount,
  lastFailureTime: toMilliseconds(lastFailureTime),
  lastSuccessTime: toMilliseconds(lastSuccessTime),
}

const find = statement((database) => database.select(stored).from(circuit).where(eq(key, given.key)).prepare())

/** Keyset pages over the primary key. */
const list = statement((database) =>
  database
    .select({
      ...stored,
      key,
      openedAt: toMilliseconds(openedAt),
      isolatedAt: toMilliseconds(isolatedAt),
      attempt: sql<number>`coalesce(${attempt}, 0)`.mapWith(Number),
      details,
    })
    .from(circuit)
    .where(and(gt(key, given.from), lte(key, given.to)))
    .orderBy(asc(key))
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

// What the driver makes of numbers depends on their type and the pool's options.
type RawRow = Pick<CircuitRow, 'state'> & { readonly key: string } & Record<
    'failureCount' | 'lastFailureTime' | 'lastSuccessTime',
    string | number | null
  >

const findMany = listQuery<RawRow>(
  (keys) => sql`
select ${key} as \`key\`, ${state} as state, ${failureCount} as failureCount,
  ${toMilliseconds(lastFailureTime)} as lastFailureTime, ${toMilliseconds(lastSuccessTime)} as lastSuccessTime
from ${circuit} where ${key} in ${keys}`,
)

/** An outage begins with the change to open and lasts until the circuit is closed. */
const replace = command(sql`
insert into ${circuit}
  (failure_count, \`key\`, state, last_failure_time, last_success_time, opened_at, attempt, version, updated_at)
values (
  ${given.failureCount}, ${given.key}, ${given.state}, ${fromMilliseconds(given.lastFailureTime)},
  ${fromMilliseconds(given.lastSuccessTime)}, if(${given.state} = 'closed', null, ${now}), 0, 1, ${now})
on duplicate key update
  failure_count = values(failure_count),
  last_failure_time = values(last_failure_time),
  last_success_time = values(last_success_time),
  opened_at = if(values(state) = 'closed', null, if(${state} = 'closed', ${now}, coalesce(${openedAt}, ${now}))),
  attempt = if(values(state) = 'closed', 0, ${attempt}),
  version = coalesce(${version}, 0) + (${state} <> values(state)),
  successes = null,
  isolated_at = null,
  reports = null,
  updated_at = ${now},
  state = values(state)`)

/** The rows of `go_goscope_circuit`. Keys come in their stored form. */
export class CircuitRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** The row, or `undefined`. */
  async find(key: string): Promise<CircuitRow | undefined> {
    const [row] = await find(this.#executor, { key })
    return row
  }

  /** The rows of up to 1,000 keys, in no order. */
  async findMany(keys: readonly string[]): Promise<readonly (CircuitRow & { readonly key: string })[]> {
    const rows = await findMany(this.#executor, keys)
    return rows.map((row) => ({
      key: row.key,
      state: row.state,
      failureCount: Number(row.failureCount),
      lastFailureTime: numberOrNull(row.lastFailureTime),
      lastSuccessTime: numberOrNull(row.lastSuccessTime),
    }))
  }

  /** The rows of a range of keys, in the order of the primary key. */
  async list(range: KeyRange, from = range.from): Promise<Page<ListedCircuitRow, string>> {
    const rows = await list(this.#executor, { from, to: range.to })
    return pageOf(rows, ROWS_PER_PAGE, ({ key }) => key)
  }

  /** Counts one failure and opens the circuit at the `maximum`-th. Returns the new count. */
  async addFailure(key: string, maximum: number, instance: string, reason: string | null): Promise<number> {
    const { insertId } = await addFailure(this.#executor, { key, maximum, instance, reason })
    return insertId
  }

  /** Resets the count, and closes a half-open circuit. */
  async addSuccess(key: string): Promise<void> {
    await addSuccess(this.#executor, { key })
  }

  /** Inserts or overwrites the row. */
  async replace(key: string, row: CircuitRow): Promise<void> {
    await replace(this.#executor, { key, ...row })
  }
}

function numberOrNull(value: string | number | null): number | null {
  return value === null ? null : Number(value)
}
