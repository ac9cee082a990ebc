import type { Delivery } from './broker.js'

/** The places at which a consumer may be killed: each leaves something else behind. */
export const places = ['received', 'written', 'committed'] as const
export type Place = (typeof places)[number]

/** What a consumer is told to do. */
export interface Task extends Delivery {
  /** Where it will be killed. */
  readonly dieAfter: Place | undefined
}

/**
 * What became of a delivery:
 * - `shipped`: its effect was committed.
 * - `known`: an earlier delivery had done that.
 * - `left`: another consumer is at it, or the database was away. It is not acknowledged, so it will come again.
 */
export type Outcome = 'shipped' | 'known' | 'left'

/** What a consumer says: that it has begun to listen, or what became of a delivery. */
export type Report = 'listening' | { readonly receipt: number; readonly outcome: Outcome }
