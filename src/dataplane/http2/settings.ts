// SETTINGS (RFC 9113 section 6.5): what we say of ourselves, and what a peer's say that concerns
// us. Pure. Of one frame only the last value of a setting counts: to apply each of thousands to
// every stream would be work that the peer gets for six bytes.
import { errorCode, frameBytesMax } from './frames.ts';
import { windowBytesMax } from './limits.ts';
import type { SessionLimits } from './limits.ts';

const setting = {
  tableBytes: 1,
  enablePush: 2,
  streamsMax: 3,
  windowBytes: 4,
  frameBytes: 5,
  listBytes: 6,
} as const;

export type PeerSettings = {
  /** All of them in order: the smallest one is what the peer's table was cut to. */
  readonly tableBytes: number[];
  streamsMax?: number;
  windowBytes?: number;
  listBytes?: number;
};

export function settingsOf(
  role: 'server' | 'client',
  limits: SessionLimits,
): readonly (readonly [id: number, value: number])[] {
  const { streamsMax, streamWindowBytes, listBytesMax } = limits;
  return [
    role === 'server' ? [setting.streamsMax, streamsMax] : [setting.enablePush, 0],
    [setting.windowBytes, streamWindowBytes],
    [setting.listBytes, listBytesMax],
  ];
}

/** What the pairs say, or the connection error that they are. */
export function readSettings(
  pairs: readonly number[],
  role: 'server' | 'client',
): PeerSettings | number {
  const said: PeerSettings = { tableBytes: [] };
  for (let index = 0; index < pairs.length; index += 2) {
    const value = pairs[index + 1] ?? 0;
    switch (pairs[index]) {
      case setting.tableBytes:
        said.tableBytes.push(value);
        break;
      case setting.enablePush:
        // A server must not say 1 (RFC 9113 section 6.5.2).
        if (value > (role === 'server' ? 1 : 0)) return errorCode.protocolError;
        break;
      case setting.streamsMax:
        said.streamsMax = value;
        break;
      case setting.windowBytes:
        if (value > windowBytesMax) return errorCode.flowControlError;
        said.windowBytes = value;
        break;
      case setting.frameBytes:
        if (value < frameBytesMax || value > 0xffffff) return errorCode.protocolError;
        break;
      case setting.listBytes:
        said.listBytes = value;
        break;
      default:
    }
  }
  return said;
}
