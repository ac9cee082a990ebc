import { and, eq, isNull, sql } from 'drizzle-orm'
import type { CircuitState } from '../contracts.js'
import { now, nowMicroseconds } from '../database/clock.js'
import { command, type Executor, statement } from '../database/statement.js'
import { circuit, locks } from '../schema/index.js'
import { failureDetails } from './circuit-details.js'
import { isHeldBy, type Tenure } from './lock-repository.js'

/** A circuit as a breaker needs it. Durations are milliseconds by the database's clock. */
export interface SharedCircuit {
  readonly state: CircuitState
  readonly failureCount: number
  /** Grows with every change of state; 0 when nothing was ever stored. */
  readonly version: number
  /** How often probing has failed during the present outage. */
  readonly attempt: number
  readonly isIsolated: boolean
  /** How long the present outage has lasted. */
  readonly openFor: number
  /** The text of all processes' reports. */
  readonly reports: string | null
  /** The database's time. */
  readonly now: number
}

/** What one process adds to a closed circuit. */
export interface CircuitReport {
  /** The circuit's version that the results belong to; a report about an older one changes nothing. */
  readonly version: number
  /** Names the reporting breaker of the reporting process. Its report replaces the one before. */
  readonly reporter: string
  /** JSON of the counts; see the provider. */
  readonly counts: string
  /** Grows with each report of this reporter, so that one that arrives twice counts once. */
  readonly number: number
  /** A reporter whose report is of no use any more; `null` for none. */
  readonly gone: string | null
  /** Added to the failure count, or its new value. */
  readonly failures: number
  readonly addsToCount: boolean
  /** Whether a success has ended the row of failures, so that all earlier reports are void. */
  readonly startsOver: boolean
  /** What failed last, and in which process; `null` when nothing did since the last report. */
  readonly reason: string | null
  readonly instance: string
}

const { key, state, failureCount, lastFailureTime, lastSuccessTime, openedAt, isolatedAt } = circuit
const { attempt, version, successes, reports, details, updatedAt } = circuit
const given = {
  key: sql.placeholder('key'),
  version: sql.placeholder('version'),
  reporter: sql.placeholder('reporter'),
  counts: sql.placeholder('counts'),
  number: sql.placeholder('number'),
  gone: sql.placeholder('gone'),
  failures: sql.placeholder('failures'),
  addsToCount: sql.placeholder('addsToCount'),
  startsOver: sql.placeholder('startsOver'),
  instance: sql.placeholder('instance'),
  reason: sql.placeholder('reason'),
  hasFailed: sql.placeholder('hasFailed'),
  delay: sql.placeholder('delay'),
  threshold: sql.placeholder('threshold'),
  circuitKey: sql.placeholder('circuitKey'),
}

const { failure, withFailure } = failureDetails(given.instance, given.reason)
const isVersion = and(eq(key, given.key), sql`coalesce(${version}, 0) = ${given.version}`)
const nextVersion = sql`coalesce(${version}, 0) + 1`

const find = statement((database) =>
  database
    .select({
      state,
      failureCount,
      version: sql<number>`coalesce(${version}, 0)`.mapWith(Number),
      attempt: sql<number>`coalesce(${attempt}, 0)`.mapWith(Number),
      isIsolated: sql<number>`${isolatedAt} is not null`.mapWith(Number),
      openFor: sql<number>`timestampdiff(microsecond, coalesce(${openedAt}, ${updatedAt}), ${now}) / 1000`.mapWith(
        Number,
      ),
      reports,
      now: sql<number>`${nowMicroseconds} / 1000`.mapWith(Number),
    })
    .from(circuit)
    .where(eq(key, given.key))
    .prepare(),
)

const ownReport = sql`json_object(
  'at', ${nowMicroseconds} div 1000, 'number', ${given.number}, 'counts', json_extract(${given.counts}, '$'))`
const areReports = sql`if(json_valid(${reports}), json_type(${reports}) = 'OBJECT', 0)`
const earlierReports = sql`if(${given.startsOver} or not ${areReports}, '{}', ${reports})`
const member = (name: unknown) => sql`concat('$."', ${name}, '"')`
const lastNumber = sql`if(${areReports}, json_extract(${reports}, concat('$."', ${given.reporter}, '".number')), null)`
const applies = sql`(${state} = 'closed' and coalesce(${version}, 0) = ${given.version}
  and coalesce(${lastNumber}, 0) < ${given.number})`

/**
 * Merges one process's counts into a circuit that is closed and has not changed since. Each process writes its own
 * entry of `reports`, so no two overwrite each other, and repeating a report does no harm there.
 * Whether the report applies depends on `reports`, which is therefore assigned last.
 */
const report = command(sql`
insert into ${circuit}
  (failure_count, \`key\`, state, last_failure_time, attempt, version, reports, details, updated_at)
values (
  ${given.failures}, ${given.key}, 'closed', if(${given.hasFailed}, ${now}, null), 0, 0,
  json_object(${given.reporter}, ${ownReport}), if(${given.hasFailed}, json_array(${failure}), null), ${now})
on duplicate key update
  failure_count = if(${applies}, if(${given.addsToCount}, ${failureCount}, 0) + ${given.failures}, ${failureCount}),
  last_failure_time = if(${applies} and ${given.hasFailed}, ${now}, ${lastFailureTime}),
  last_success_time = if(${applies} and ${given.startsOver}, ${now}, ${lastSuccessTime}),
  details = if(${applies} and ${given.hasFailed}, ${withFailure}, ${details}),
  updated_at = if(${applies}, ${now}, ${updatedAt}),
  reports = if(${applies},
    json_set(json_remove(${earlierReports}, ${member(sql`coalesce(${given.gone}, '')`)}), ${member(given.reporter)}, ${ownReport}),
    ${reports})`)

/** Each change names the version it was decided on and makes the next one, so exactly one of many callers makes it. */
const open = command(sql`
update ${circuit} set
  opened_at = ${now},
  attempt = 0,
  version = ${nextVersion},
  successes = null,
  reports = null,
  updated_at = ${now},
  state = 'open'
where ${and(isVersion, eq(state, 'closed'))}`)

const beginProbing = command(sql`
update ${circuit} set
  version = ${nextVersion},
  successes = 0,
  updated_at = ${now},
  state = 'half-open'
where ${and(isVersion, eq(state, 'open'), isNull(isolatedAt))}
  and timestampdiff(microsecond, coalesce(${openedAt}, ${updatedAt}), ${now}) >= ${given.delay} * 1000`)

// A prober that was paused for longer than its permit lasted must not decide for its successor. Counting, because
// servers turn EXISTS into a join, and an UPDATE of several tables assigns in an order of its own.
const isProbedBy = sql`${and(eq(key, given.circuitKey), sql`coalesce(${version}, 0) = ${given.version}`, eq(state, 'half-open'))}
  and (select count(*) from ${locks} where ${isHeldBy}) = 1`

// The columns that the other assignments read come last: MariaDB can be told to let them read the old values always.
const closes = sql`(coalesce(${successes}, 0) + 1 >= ${given.threshold})`
const addProbeSuccess = command(sql`
update ${circuit} set
  version = coalesce(${version}, 0) + last_insert_id(if(${closes}, 1, 0)),
  failure_count = if(${closes}, 0, ${failureCount}),
  last_success_time = ${now},
  opened_at = if(${closes}, null, ${openedAt}),
  attempt = if(${closes}, 0, ${attempt}),
  reports = null,
  updated_at = ${now},
  state = if(${closes}, 'closed', ${state}),
  successes = if(${closes}, null, coalesce(${successes}, 0) + 1)
where ${isProbedBy}`)

const reopen = command(sql`
update ${circuit} set
  failure_count = ${failureCount} + 1,
  last_failure_time = ${now},
  opened_at = ${now},
  attempt = coalesce(${attempt}, 0) + 1,
  version = ${nextVersion},
  successes = null,
  reports = null,
  details = ${withFailure},
  updated_at = ${now},
  state = 'open'
where ${isProbedBy}`)

const isolate = command(sql`
insert into ${circuit} (failure_count, \`key\`, state, opened_at, attempt, version, isolated_at, updated_at)
values (0, ${given.key}, 'open', ${now}, 0, 1, ${now}, ${now})
on duplicate key update
  opened_at = if(${state} = 'closed', ${now}, coalesce(${openedAt}, ${now})),
  version = ${nextVersion},
  successes = null,
  reports = null,
  isolated_at = coalesce(${isolatedAt}, ${now}),
  updated_at = ${now},
  state = 'open'`)

/** Stores a row even if there was none: its version tells all processes to forget what they have counted. */
const reset = command(sql`
insert into ${circuit} (failure_count, \`key\`, state, attempt, version, updated_at)
values (0, ${given.key}, 'closed', 0, 1, ${now})
on duplicate key update
  failure_count = 0,
  opened_at = null,
  attempt = 0,
  version = ${nextVersion},
  successes = null,
  isolated_at = null,
  reports = null,
  updated_at = ${now},
  state = 'closed'`)

const untouched: SharedCircuit = {
  state: 'closed',
  failureCount: 0,
  version: 0,
  attempt: 0,
  isIsolated: false,
  openFor: 0,
  reports: null,
  now: 0,
}

/** The rows of `go_goscope_circuit` as breakers change them, each change by one statement. Keys come in their stored form. */
export class BreakerRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** The circuit; a closed one when nothing was ever stored. */
  async find(key: string): Promise<SharedCircuit> {
    const [row] = await find(this.#executor, { key })
    return row === undefined ? untouched : { ...row, isIsolated: row.isIsolated === 1 }
  }

  /** Adds a process's counts to the closed circuit of that version; otherwise changes nothing. */
  async report(key: string, { addsToCount, startsOver, ...others }: CircuitReport): Promise<void> {
    await report(this.#executor, {
      key,
      ...others,
      addsToCount: Number(addsToCount),
      startsOver: Number(startsOver),
      hasFailed: Number(others.reason !== null),
    })
  }

  /** Opens the closed circuit of that version. `false` when another caller has changed it. */
  async open(key: string, version: number): Promise<boolean> {
    const { affectedRows } = await open(this.#executor, { key, version })
    return affectedRows === 1
  }

  /** Turns the circuit of that version half-open when its outage has lasted for `delay` milliseconds. */
  async beginProbing(key: string, version: number, delay: number): Promise<boolean> {
    const { affectedRows } = await beginProbing(this.#executor, { key, version, delay })
    return affectedRows === 1
  }

  /**
   * Counts a successful probe of that version, if its permit is still held. The `threshold`-th closes the circuit,
   * which `true` tells.
   */
  async addProbeSuccess(circuitKey: string, version: number, permit: Tenure, threshold: number): Promise<boolean> {
    const { affectedRows, insertId } = await addProbeSuccess(this.#executor, {
      circuitKey,
      version,
      ...heldPermit(permit),
      threshold,
    })
    return affectedRows === 1 && insertId === 1
  }

  /** Ends the probing of that version with a failure, if its permit is still held. `false` when it has ended already. */
  async reopen(
    circuitKey: string,
    version: number,
    permit: Tenure,
    instance: string,
    reason: string,
  ): Promise<boolean> {
    const values = { circuitKey, version, ...heldPermit(permit), instance, reason }
    const { affectedRows } = await reopen(this.#executor, values)
    return affectedRows === 1
  }

  /** Opens the circuit until {@link reset}. */
  async isolate(key: string): Promise<void> {
    await isolate(this.#executor, { key })
  }

  /** Closes the circuit and forgets its counts. */
  async reset(key: string): Promise<void> {
    await reset(this.#executor, { key })
  }
}

function heldPermit({ key, owner, fence }: Tenure): Record<string, unknown> {
  return { key, owner, heldFence: fence }
}
