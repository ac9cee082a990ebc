import { and, eq, gt, or, sql } from 'drizzle-orm'
import type { CircuitState } from '../contracts.js'
import { fromMilliseconds, now, toMilliseconds } from '../database/clock.js'
import { command, type Executor, statement } from '../database/statement.js'
import { circuit } from '../schema/index.js'

/** A stored circuit breaker. Times are milliseconds since 1970. */
export interface CircuitRow {
  readonly state: CircuitState
  readonly failureCount: number
  readonly lastFailureTime: number | null
  readonly lastSuccessTime: number | null
}

/** How many of the latest failures `details` shows. */
const SHOWN_FAILURES = 10

const { key, state, failureCount, lastFailureTime, lastSuccessTime, openedAt, attempt, version, details } = circuit
const given = {
  key: sql.placeholder('key'),
  state: sql.placeholder('state'),
  failureCount: sql.placeholder('failureCount'),
  lastFailureTime: sql.placeholder('lastFailureTime'),
  lastSuccessTime: sql.placeholder('lastSuccessTime'),
  maximum: sql.placeholder('maximum'),
  instance: sql.placeholder('instance'),
  reason: sql.placeholder('reason'),
}

const failure = sql`json_object(
  'time', date_format(${now}, '%Y-%m-%dT%H:%i:%s.%fZ'), 'instance', ${given.instance}, 'reason', ${given.reason})`
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
  if(1 >= ${given.maximum}, ${now}, null), 0, 1, json_array(${failure}), ${now})
on duplicate key update
  failure_count = last_insert_id(${failureCount} + 1),
  last_failure_time = ${now},
  opened_at = if(${state} = 'open', ${openedAt}, if(${opens}, ${now}, null)),
  attempt = coalesce(${attempt}, 0) + (${state} = 'half-open'),
  version = coalesce(${version}, 0) + if(${state} = 'open', 0, ${opens}),
  probe_owner = null,
  probe_until = null,
  details = json_remove(
    json_array_insert(if(json_valid(${details}), ${details}, '[]'), '$[0]', ${failure}),
    '$[${sql.raw(String(SHOWN_FAILURES))}]'),
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
  probe_owner = null,
  probe_until = null,
  updated_at = ${now},
  state = 'closed'
where ${and(eq(key, given.key), or(eq(state, 'half-open'), and(eq(state, 'closed'), gt(failureCount, sql`0`))))}`)

const find = statement((database) =>
  database
    .select({
      state,
      failureCount,
      lastFailureTime: toMilliseconds(lastFailureTime),
      lastSuccessTime: toMilliseconds(lastSuccessTime),
    })
    .from(circuit)
    .where(eq(key, given.key))
    .prepare(),
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
  probe_owner = null,
  probe_until = null,
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
