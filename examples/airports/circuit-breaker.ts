import type { CircuitBreakerStateProvider, LockProvider } from 'goscope-mysql'

/** What a breaker needs of the library. */
type SharedState = Pick<CircuitBreakerStateProvider, 'getState' | 'setState' | 'recordFailure' | 'recordSuccess'> &
  Pick<LockProvider, 'acquire'>

export interface BreakerOptions {
  /** Failures in a row, of all processes together, that open the circuit. */
  readonly maxFailures: number
  /** Milliseconds without a failure after which one process may probe an open circuit. */
  readonly resetAfter: number
}

/** The circuit is open, and the call was not made. */
export class CircuitOpen extends Error {}

/**
 * Calls through a circuit breaker that all processes share.
 *
 * While the circuit is not closed, one process at a time probes: whoever gets the lock. A prober that is killed
 * keeps nobody waiting for longer than its lock lives.
 *
 * @param key - Names the circuit.
 * @throws {@link CircuitOpen}, and whatever `call` throws.
 */
export async function throughBreaker<T>(
  state: SharedState,
  key: string,
  { maxFailures, resetAfter }: BreakerOptions,
  call: () => Promise<T>,
): Promise<T> {
  const circuit = await state.getState(key)
  if (circuit === null || circuit.state === 'closed') return counted(state, key, maxFailures, call)
  if (circuit.state === 'open' && Date.now() - (circuit.lastFailureTime ?? 0) < resetAfter) throw new CircuitOpen(key)
  await using probe = await state.acquire(`probe:${key}`, resetAfter)
  if (probe === null) throw new CircuitOpen(key)
  // Another prober may have closed it before this one got the lock: opening it again would be wrong.
  if ((await state.getState(key))?.state === 'open') await state.setState(key, { ...circuit, state: 'half-open' })
  return await counted(state, key, maxFailures, call)
}

async function counted<T>(state: SharedState, key: string, maxFailures: number, call: () => Promise<T>): Promise<T> {
  let result: T
  try {
    result = await call()
  } catch (error) {
    await state.recordFailure(key, maxFailures)
    throw error
  }
  await state.recordSuccess(key)
  return result
}
