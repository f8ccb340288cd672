"""Pipecat in the place of our server: its WebSocket transport and pipeline, its own services pointed at the stand-ins.

`pipecat_engine.py --port PORT --services http://127.0.0.1:PORT` serves `GET /health` and `/voice/{id}` on loopback: raw
16 kHz samples in, raw 24 kHz samples out.
"""

import argparse
import os
import platform
import sys
from importlib.metadata import version

# Nothing is fetched at run time; the models come with the packages.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from loguru import logger

logger.remove()
logger.add(sys.stderr, level="WARNING")

import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

# A voice of the stand-ins' account.
VOICE = "EXAVITQu4vr4xnSDxMaL"
SILENCE = 0.2
RATE_IN, RATE_OUT = 16_000, 24_000


class RawAudio(FrameSerializer):
    """Samples as they are; everything else that the pipeline sends to a client is left out."""

    async def serialize(self, frame):
        return bytes(frame.audio) if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data):
        if not isinstance(data, bytes):
            return None
        return InputAudioRawFrame(audio=data, sample_rate=RATE_IN, num_channels=1)


def pipeline_worker(transport, services, key):
    sockets = services.replace("http", "ws", 1)
    # The service asks for the words when the voice activity ends. With the recogniser's own endpointing they would have
    # come before, the answer to that question would be empty, and Pipecat would wait longer.
    hearing = DeepgramSTTService(
        api_key=key, base_url=sockets, settings=DeepgramSTTService.Settings(endpointing=False)
    )
    answering = OpenAILLMService(
        api_key=key,
        base_url=f"{services}/v1",
        settings=OpenAILLMService.Settings(system_instruction="You tell callers about homes for sale."),
    )
    speaking = ElevenLabsTTSService(
        api_key=key, url=sockets, settings=ElevenLabsTTSService.Settings(voice=VOICE)
    )
    # The silence of the voice activity is the whole of it: no further wait for the caller to go on.
    turns = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)])
    user = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=SILENCE)), user_turn_strategies=turns
    )
    sides = LLMContextAggregatorPair(LLMContext(), user_params=user)
    steps = [
        transport.input(), hearing, sides.user(), answering, speaking, transport.output(), sides.assistant()
    ]
    rates = PipelineParams(audio_in_sample_rate=RATE_IN, audio_out_sample_rate=RATE_OUT)
    return PipelineWorker(Pipeline(steps), params=rates, idle_timeout_secs=None)


def application(services):
    app = FastAPI()
    about = f"Pipecat {version('pipecat-ai')}, Python {platform.python_version()}"

    @app.get("/health", response_class=PlainTextResponse)
    async def health():
        return about

    @app.websocket("/voice/{call}")
    async def voice(socket: WebSocket, call: str):
        await socket.accept()
        params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=RawAudio())
        transport = FastAPIWebsocketTransport(websocket=socket, params=params)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(pipeline_worker(transport, services, call))

        @transport.event_handler("on_client_disconnected")
        async def left(_transport, _client):
            await runner.cancel()

        await runner.run()

    return app


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--services", required=True)
    options = parser.parse_args()
    uvicorn.run(
        application(options.services),
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
