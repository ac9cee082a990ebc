import { randomBytes } from 'node:crypto'
import type { CircuitState } from '../../contracts.js'
import type { SharedCircuit } from '../../repositories/breaker-repository.js'
import { type CircuitSettings, resetDelay } from './circuit-options.js'

/** Calls by age: how many milliseconds ago, how many there were, and how many of them failed. */
export type Counts = readonly (readonly [age: number, calls: number, failures: number])[]

/** What one breaker of one process reported. */
export interface Report {
  readonly reporter: string
  /** Which one of this reporter's. */
  readonly number: number
  /** Milliseconds since it was made, when it was read. */
  readonly age: number
  readonly counts: Counts
}

/** What this process knows of a shared circuit. Moments are those of `performance.now()`, which nobody can set. */
export interface CircuitView {
  readonly state: CircuitState
  readonly version: number
  readonly attempt: number
  readonly failureCount: number
  readonly reports: readonly Report[]
  /** When an open circuit may be probed; `Infinity` while it is isolated. */
  readonly dueAt: number
  readonly readAt: number
  /** Whether this process decided on its own, and the database does not know yet. */
  readonly isAssumed: boolean
}

/** Before the first look. */
export const unknownCircuit: CircuitView = {
  state: 'closed',
  version: 0,
  attempt: 0,
  failureCount: 0,
  reports: [],
  dueAt: 0,
  readAt: Number.NEGATIVE_INFINITY,
  isAssumed: false,
}

/** @param readAt - From before the request. The circuit may seem due a little early; the database decides. */
export function viewOf(row: SharedCircuit, settings: CircuitSettings, readAt: number): CircuitView {
  const dueAt = row.isIsolated ? Number.POSITIVE_INFINITY : readAt + resetDelay(settings, row.attempt) - row.openFor
  const { state, version, attempt, failureCount } = row
  return { state, version, attempt, failureCount, reports: parse(row), dueAt, readAt, isAssumed: false }
}

/**
 * A name for a breaker in reports: that of its process, and something random, since containers may share both host name
 * and process id, and threads always do.
 */
export function newReporter(instance: string): string {
  return `${instance}/${randomBytes(6).toString('hex')}`
}

/** The process of a reporter. */
export function instanceOf(reporter: string): string {
  return reporter.slice(0, reporter.lastIndexOf('/'))
}

// Anybody can write to the table: what is not a report is passed over.
function parse({ reports, now }: SharedCircuit): Report[] {
  let parsed: Record<string, { at?: unknown; number?: unknown; counts?: unknown } | null> | null
  try {
    parsed = JSON.parse(reports ?? '{}')
  } catch {
    return []
  }
  return Object.entries(parsed ?? {}).flatMap(([reporter, report]) => {
    if (typeof report?.at !== 'number' || !isCounts(report.counts)) return []
    const { at, counts } = report
    return { reporter, number: Number(report.number), age: Math.max(0, now - at), counts }
  })
}

function isCounts(value: unknown): value is Counts {
  return (
    Array.isArray(value) &&
    value.every((count) => Array.isArray(count) && count.length === 3 && count.every(Number.isFinite))
  )
}
