"""LiveKit Agents in the place of our server: one AgentSession a call, its own plugins pointed at the stand-ins.

`livekit_engine.py --port PORT --services http://127.0.0.1:PORT` serves `GET /health` and `/voice/{id}` on loopback: raw
16 kHz samples in, raw 24 kHz samples out. With `--early` the model is asked as soon as there are words, before the silence
is over. Its usual transport is WebRTC through a LiveKit server and a process for each
call. Here a plain socket takes their place and all calls share the process, so its figures are lower bounds.
"""

import argparse
import asyncio
import logging
import os
import platform
import time
from importlib.metadata import version

# Nothing is fetched at run time; the models come with the packages.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import uvloop
from aiohttp import ClientSession, TCPConnector, WSMsgType, web
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference
from livekit.agents.voice import io
from livekit.plugins import deepgram, elevenlabs, openai

# A voice of the stand-ins' account.
VOICE = "EXAVITQu4vr4xnSDxMaL"
SILENCE = 0.2
RATE_IN, RATE_OUT = 16_000, 24_000
CLOSE_LIMIT = 5.0

EARLY = web.AppKey("early", bool)
HTTP = web.AppKey("http", ClientSession)
SERVICES = web.AppKey("services", str)


class SocketInput(io.AudioInput):
    """What the caller sends, frame by frame. None ends it."""

    def __init__(self):
        super().__init__(label="socket")
        self.frames = asyncio.Queue()

    async def __anext__(self):
        frame = await self.frames.get()
        if frame is None:
            raise StopAsyncIteration
        return frame


class SocketOutput(io.AudioOutput):
    """Sends what comes at once, and tells the session that it was heard when its time has passed."""

    def __init__(self, socket):
        pausing = io.AudioOutputCapabilities(pause=False)
        super().__init__(label="socket", capabilities=pausing, sample_rate=RATE_OUT)
        self.socket = socket
        self.began = None
        self.length = 0.0
        self.ending = None

    async def capture_frame(self, frame):
        await super().capture_frame(frame)
        loop = asyncio.get_running_loop()
        if self.began is None:
            self.began, self.length = loop.time(), 0.0
            self.on_playback_started(created_at=time.time())
        self.length += frame.duration
        if not self.socket.closed:
            try:
                await self.socket.send_bytes(bytes(frame.data))
            except ConnectionError:
                pass  # The caller is gone; the reading side ends the call.

    def flush(self):
        super().flush()
        if self.began is not None and self.ending is None:
            loop = asyncio.get_running_loop()
            self.ending = loop.call_at(self.began + self.length, self.finish, False)

    def clear_buffer(self):
        if self.began is not None:
            self.finish(True)

    def finish(self, interrupted):
        if self.ending is not None:
            self.ending.cancel()
            self.ending = None
        heard = min(self.length, asyncio.get_running_loop().time() - self.began)
        self.began = None
        self.on_playback_finished(playback_position=heard, interrupted=interrupted)


def agent_session(services, key, http, early):
    return AgentSession(
        stt=deepgram.STT(api_key=key, base_url=f"{services}/v1/listen", http_session=http),
        llm=openai.LLM(api_key=key, base_url=f"{services}/v1"),
        tts=elevenlabs.TTS(
            api_key=key, base_url=f"{services}/v1", voice_id=VOICE, encoding=f"pcm_{RATE_OUT}", http_session=http
        ),
        vad=inference.VAD(model="silero", min_silence_duration=SILENCE),
        # The silence of the voice activity is the whole of it.
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"mode": "fixed", "min_delay": 0.0},
            "preemptive_generation": {"enabled": early},
        },
    )


async def voice(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    session = agent_session(request.app[SERVICES], request.match_info["call"], request.app[HTTP], request.app[EARLY])
    heard = SocketInput()
    session.input.audio = heard
    session.output.audio = SocketOutput(socket)
    await session.start(agent=Agent(instructions="You tell callers about homes for sale."))
    try:
        async for message in socket:
            if message.type == WSMsgType.BINARY:
                heard.frames.put_nowait(rtc.AudioFrame(message.data, RATE_IN, 1, len(message.data) // 2))
    finally:
        heard.frames.put_nowait(None)
        try:
            await asyncio.wait_for(session.aclose(), CLOSE_LIMIT)
        except TimeoutError:
            logging.warning("a session did not end")
    return socket


async def health(_request):
    return web.Response(text=f"LiveKit Agents {version('livekit-agents')}, Python {platform.python_version()}")


async def one_http(app):
    """All calls share the connections to the services."""
    app[HTTP] = ClientSession(connector=TCPConnector(limit=0))
    yield
    await app[HTTP].close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--services", required=True)
    parser.add_argument("--early", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    app = web.Application()
    app[SERVICES] = options.services
    app[EARLY] = options.early
    app.cleanup_ctx.append(one_http)
    app.add_routes([web.get("/health", health), web.get("/voice/{call}", voice)])
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, print=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()
