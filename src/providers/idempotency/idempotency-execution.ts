import { createHash } from 'node:crypto'
import { type Outcome, outcomeCodec } from '../../codec/outcome-codec.js'
import type { PoolClient } from '../../database/client.js'
import { failureOf } from '../../database/failures.js'
import { drizzleTransaction, type OwnTransaction } from '../../database/own-transaction.js'
import { isOpen, runIn } from '../../database/transaction.js'
import { IdempotencyMismatchError, InProgressError, InvalidArgumentError, LockLostError } from '../../errors.js'
import { assertMilliseconds, assertTimeToLive, refuseUnknown } from '../../options.js'
import type { NewCacheRow } from '../../repositories/cache-repository.js'
import { type ClaimContext, claimOrRead } from '../claim.js'
import { Lease } from '../locks/lock-lease.js'

/** How an operation is executed once. */
export interface ExecuteOptions {
  /** Milliseconds for which the outcome is remembered; without one until it is deleted. */
  ttl?: number
  /**
   * Milliseconds after which the claim of a process that crashed while running the operation expires. It is renewed
   * meanwhile.
   *
   * @default 30000
   */
  lease?: number
  /**
   * What tells requests apart, such as a digest of the payload. A later call with the same key and another fingerprint
   * is an {@link IdempotencyMismatchError}. Only its SHA-256 is stored.
   */
  fingerprint?: string
  /**
   * Milliseconds to wait while another caller runs the operation.
   *
   * @default 10000
   */
  wait?: number
  /** Ends the waiting. */
  signal?: AbortSignal
  /**
   * Whether to remember this error, and throw it again for later calls. Others leave no trace, and the next call runs
   * the operation again.
   *
   * @default () => false
   */
  storeFailure?: (error: unknown) => boolean
  /**
   * Whether to run the operation in a transaction, which is committed together with the record of its outcome.
   *
   * @default false
   */
  transaction?: boolean
}

/** What an execution works with. */
export interface ExecutionContext extends ClaimContext {
  readonly client: PoolClient
  /** Milliseconds to wait for the answer to a statement inside a transaction. */
  readonly timeout: number
}

/** What the operation is run with. */
export type Operation<T> = ((lease: Lease) => T | Promise<T>) | ((tx: OwnTransaction, lease: Lease) => T | Promise<T>)

const DEFAULT_LEASE = 30_000
const DEFAULT_WAIT = 10_000

/** Runs an operation unless its outcome is known; see {@link Idempotency.execute}. */
export async function executeOnce<T>(
  context: ExecutionContext,
  key: string,
  storedKey: string,
  operation: Operation<T>,
  options: ExecuteOptions,
): Promise<T> {
  const { ttl, lease = DEFAULT_LEASE, wait = DEFAULT_WAIT, signal, transaction, storeFailure } = checked(options)
  const fingerprint = options.fingerprint === undefined ? undefined : digest(options.fingerprint)
  const claim = await claimOrRead(context, 'execute', key, storedKey, { lease, wait, signal })
  if (claim === null) {
    throw new InProgressError(`another caller has been running the operation for ${wait} ms: try again later`, {
      operation: 'execute',
    })
  }
  if (!(claim instanceof Lease)) return replay<T>(outcomeCodec.decode(claim.value), fingerprint)
  const row = (value: unknown, isFailure: boolean): NewCacheRow => ({
    key: storedKey,
    value: outcomeCodec.encode({ value, isFailure, fingerprint }),
    ttl: ttl ?? null,
  })
  let thrown: { readonly error: unknown } | undefined
  const watched = async (...given: [never, never]): Promise<T> => {
    try {
      return await operation(...given)
    } catch (error) {
      thrown = { error }
      throw error
    }
  }
  // Disconnecting waits for all of it, since an effect without its record would happen again.
  return context.operations.once('execute', async () => {
    try {
      return await (transaction === true
        ? runInTransaction(context, claim, watched as (tx: OwnTransaction, lease: Lease) => Promise<T>, row)
        : runAlone(context, claim, watched as (lease: Lease) => Promise<T>, row))
    } catch (error) {
      // Only what the operation threw is its outcome: a commit whose answer was lost may have succeeded.
      if (thrown !== undefined && thrown.error === error && storeFailure?.(error) === true)
        await store(context, claim, row(error, true))
      throw error
    } finally {
      // A claim that cannot be released now expires; the record has been stored, or there is none.
      await claim.release().catch(() => {})
    }
  })
}

async function runAlone<T>(
  context: ExecutionContext,
  claim: Lease,
  operation: (lease: Lease) => Promise<T>,
  row: (value: unknown, isFailure: boolean) => NewCacheRow,
): Promise<T> {
  const result = await operation(claim)
  await store(context, claim, row(result, false))
  return result
}

const transactionEnded =
  'operation: expected its transaction to be open at its end, but a statement ended it, or the server rolled it back ' +
  'because of a deadlock: let such an error reach execute()'

/** The claim is checked before the work and stays locked until the commit, so whoever was overtaken cannot commit. */
async function runInTransaction<T>(
  { client, repository, timeout }: ExecutionContext,
  claim: Lease,
  operation: (tx: OwnTransaction, lease: Lease) => Promise<T>,
  row: (value: unknown, isFailure: boolean) => NewCacheRow,
): Promise<T> {
  let thrown: { readonly error: unknown } | undefined
  const work = () =>
    client.transact(async (connection) => {
      const tx = drizzleTransaction(connection)
      await claim.assertHeld(tx)
      const result = await operation(tx, claim).catch((error: unknown) => {
        thrown = { error }
        throw error
      })
      if (!(await isOpen(tx, timeout, 'execute'))) throw new InvalidArgumentError(transactionEnded)
      await putIn(tx, result)
      return result
    })
  const putIn = (tx: OwnTransaction, result: T) =>
    runIn(tx, timeout, 'execute', (executor) => repository.put(row(result, false), null, executor))
  try {
    return await work()
  } catch (error) {
    if (thrown !== undefined) throw thrown.error
    throw failureOf(error, 'execute').error
  }
}

async function store({ operations, repository }: ExecutionContext, claim: Lease, row: NewCacheRow): Promise<void> {
  const put = () => repository.putUnderLock(row, claim.tenure)
  const isStored = await operations.run('execute', put, { isFollowUp: true })
  if (isStored) return
  throw new LockLostError(
    claim.remaining > 0 ? 'stolen' : 'expired',
    'the operation was run, but its claim was lost before the outcome was stored: another caller may run it too',
    { operation: 'execute' },
  )
}

function replay<T>({ value, isFailure, fingerprint }: Outcome, expected: string | undefined): T {
  if (fingerprint !== undefined && expected !== undefined && fingerprint !== expected) {
    throw new IdempotencyMismatchError('the key was used before for another request: use a new key for each request', {
      operation: 'execute',
    })
  }
  if (isFailure) throw value
  return value as T
}

function digest(fingerprint: string): string {
  if (typeof fingerprint !== 'string') {
    throw new InvalidArgumentError(`options.fingerprint: expected a string, got ${typeof fingerprint}`)
  }
  return createHash('sha256').update(fingerprint).digest('base64url')
}

function checked(options: ExecuteOptions): ExecuteOptions {
  refuseUnknown('options', options, ['ttl', 'lease', 'fingerprint', 'wait', 'signal', 'storeFailure', 'transaction'])
  if (options.ttl !== undefined) assertTimeToLive(options.ttl)
  assertTimeToLive(options.lease ?? DEFAULT_LEASE)
  assertMilliseconds('options.wait', options.wait ?? DEFAULT_WAIT)
  return options
}
