import type { OperationName } from '../operations.js'

/** One operation of a contender, made ready for measuring. */
export interface Work {
  /** How many runs can be prepared at a time, where there is a limit. */
  readonly limit?: number
  /** Makes the runs from `first` on, `count` of them, possible. Not measured. */
  prepare?(first: number, count: number): Promise<void>
  /**
   * Carries the operation out once. Turns are counted from 0 and never come twice.
   *
   * @throws {WrongAnswer} when the operation succeeded with an answer that it must not give.
   */
  run(turn: number): Promise<unknown>
  /** Looks at what `succeeded` runs left behind. Returns how many of them went wrong unnoticed. Not measured. */
  audit?(succeeded: number): Promise<number>
}

/** Whoever does the work: bare statements, this package, or another one. */
export interface Contender {
  /** What it can do. */
  readonly works: Partial<Record<OperationName, Work>>
  close(): Promise<void>
}

/** A contender that has not been opened. */
export interface ContenderKind {
  readonly name: ContenderName
  /** Creates tables and rows in an empty database. */
  setUp(url: string): Promise<void>
  /** Opens it for this many concurrent callers, with a connection for each where that can be chosen. */
  open(url: string, callers: number): Promise<Contender>
}

export type ContenderName =
  | 'mysql2'
  | 'mysql2/promise'
  | 'same statement'
  | 'goscope-mysql'
  | 'go-go-scope'
  | 'verrou'
  | 'keyv'
  | 'bentocache'

/** What everything is compared with. */
export const FLOOR: ContenderName = 'mysql2'

/** This package. */
export const OURS: ContenderName = 'goscope-mysql'

/** An answer that the operation must not give. */
export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer'
}

/** @throws {WrongAnswer} unless `condition` holds. */
export function expect(condition: boolean, expectation: string): asserts condition {
  if (!condition) throw new WrongAnswer(`expected ${expectation}`)
}

/** @throws {WrongAnswer} unless it is the product of this key. */
export function expectProduct(key: string, value: unknown): void {
  expect((value as { id?: unknown } | null | undefined)?.id === key, 'the value of the key')
}
